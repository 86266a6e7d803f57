// SPDX-License-Identifier: Apache-2.0
// Our sessions beside ONNX Runtime (float32, and 8-bit integers in its QDQ form) and LibTorch: the same networks, the same images, the same
// number of threads, in turn. See docs/performance.md; options: options.h.
#include "bench/machine_peaks.h"
#include "bench/median.h"
#include "bench/peers/contender.h"
#include "bench/peers/measure.h"
#include "bench/peers/options.h"
#include "bench/peers/qdq_graph.h"
#include "bench/peers/report.h"
#include "bitwright/core/cpu.h"
#include "bitwright/core/error.h"
#include "bitwright/core/file.h"
#include "bitwright/core/rng.h"
#include "bitwright/model/passes.h"
#include "bitwright/model/zoo.h"
#include "bitwright/onnx/export.h"
#include "bitwright/onnx/proto.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdio>
#include <ctime>

namespace bitwright {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

// ONNX Runtime and we must give the same logits before anyone's time is taken: the rule of tests/interop, which says where it comes from.
constexpr double kSameAnswersPercent = 1e-5 * 100.0;

class TempFolder {
 public:
  TempFolder() {
    std::string name = (fs::temp_directory_path() / "bitwright-peers-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) fail(ErrorCode::io, "{}: cannot make a folder; set TMPDIR.", name);
    path_ = name;
  }
  ~TempFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  [[nodiscard]] const fs::path& path() const noexcept { return path_; }

 private:
  fs::path path_;
};

std::vector<float> normals(std::int64_t count) {
  const Rng rng(1, "peers.input");
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(rng.normal(i));
  return values;
}

Model with_weights(Model model, std::string_view format) {
  if (format == "float") return model;
  for (const std::string& name : quantizable_weights(model.graph)) {
    Weight& weight = model.weights.at(name);
    weight = quantize(NumberFormat::parse(format), weight_shape(weight), weight_values(weight));
  }
  return model;
}

/// A graph that computes next to nothing: what a run costs before any network is computed.
std::vector<std::byte> nearly_empty_graph() {
  onnx::ModelProto file;
  file.ir_version = 8;
  file.opset_imports = {{"", 17}};
  file.graph.name = "shape";
  file.graph.inputs.emplace_back().name = "input";
  file.graph.inputs.back().type = onnx::DataType::float32;
  file.graph.outputs.emplace_back().name = "shape";
  file.graph.outputs.back().type = onnx::DataType::int64;
  onnx::NodeProto node;
  node.name = "shape";
  node.op_type = "Shape";
  node.inputs = {"input"};
  node.outputs = {"shape"};
  file.graph.nodes.push_back(std::move(node));
  return onnx::write_model(file);
}

std::vector<std::byte> int8_peer(OnnxRuntime& runtime, const Model& folded, std::span<const float> input, int threads) {
  runtime.load("ranges", onnx_with_all_values(folded), threads);
  ValueRanges ranges;
  const nlohmann::json measured = runtime.ranges("ranges");
  for (const auto& [name, range] : measured.items()) ranges[name] = {range.at(0).get<float>(), range.at(1).get<float>()};
  runtime.release("ranges");
  const auto [lowest, highest] = std::ranges::minmax(input);
  ranges[folded.graph.inputs.front().name] = {lowest, highest};
  return onnx_int8_qdq(folded, ranges);
}

/// Those who run a case, and whose answers each one's are compared with.
struct Field {
  std::vector<std::unique_ptr<Contender>> contenders;
  std::vector<std::size_t> reference;

  void add(std::unique_ptr<Contender> contender, std::size_t compared_with) {
    contenders.push_back(std::move(contender));
    reference.push_back(compared_with);
  }
};

void add_peers(Field& field, const Model& model, OnnxRuntime& runtime, int threads, const Shape& images, std::span<const float> input) {
  field.add(onnx_runtime_contender("onnxruntime/float32", runtime, export_onnx(model, OnnxForm::float32).file, threads), 0);
  const Model folded = fold_batch_normalization(remove_training_nodes(model));
  field.add(onnx_runtime_contender("onnxruntime/int8", runtime, int8_peer(runtime, folded, input, threads), threads), 0);
  field.add(torch_contender("libtorch/float32", folded, threads, images, input), 0);
}

void add_ours(Field& field, const Model& model, const PeerCase& peer_case, int threads, std::span<const float> input) {
  for (const std::string_view format : peer_case.formats) {
    const Model weighted = with_weights(model, format);
    // Float weights are compared with ONNX Runtime, others with our own float32 arithmetic on the same weights.
    const std::size_t reference = format == "float" ? 0 : field.contenders.size();
    for (const std::string_view mode : peer_case.activations) {
      const Activations activations = parse_activations(mode);
      if (!activations_refusal(activations).empty()) continue;
      const std::string name = fmt::format("bitwright/{}/{}", mode, format);
      field.add(session_contender(name, weighted, activations, threads, peer_case.batch, input), reference);
      if (peer_case.more_threads == 1) continue;
      field.add(session_contender(fmt::format("{}/{} threads", name, peer_case.more_threads), weighted, activations, peer_case.more_threads,
                                  peer_case.batch, input),
                reference);
    }
  }
}

std::vector<double> differences(const Field& field) {
  std::vector<std::vector<float>> outputs;
  for (const auto& contender : field.contenders) {
    (void)contender->turn(0);
    outputs.push_back(contender->output());
  }
  std::vector<double> percents;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    percents.push_back(difference_percent(outputs[i], outputs[field.reference[i]]));
    if (field.contenders[i]->name() == "bitwright/float32/float" && !(percents.back() <= kSameAnswersPercent)) {
      fail(ErrorCode::check_failed,
           "{}: ONNX Runtime gives other answers (found {:.2g} % of their range, need at most {:.2g} %); no time is taken.",
           field.contenders[i]->name(), percents.back(), kSameAnswersPercent);
    }
  }
  return percents;
}

Json run_case(const PeerCase& peer_case, const PeersOptions& options, OnnxRuntime& runtime) {
  const Model model = build_zoo_model(peer_case.network, 1);
  const Shape images = model.graph.inputs.front().shape.with_dim(0, peer_case.batch);
  const std::vector<float> input = normals(images.element_count());
  runtime.set_input(input, images);
  Field field;
  add_peers(field, model, runtime, options.threads, images, input);
  add_ours(field, model, peer_case, options.threads, input);
  const std::vector<double> percents = differences(field);

  runtime.load("dispatch", nearly_empty_graph(), options.threads);
  const double dispatch_ms = 1e3 * median(runtime.run("dispatch", 1000));
  const std::vector<Timing> timings = measure_in_turn(field.contenders, options.samples);
  Json contenders = Json::array();
  for (std::size_t i = 0; i < timings.size(); ++i) {
    const std::string& name = field.contenders[i]->name();
    // What node and the call itself take is not the peer's.
    const double spent = name.starts_with("onnxruntime/") ? dispatch_ms : 0.0;
    contenders.push_back({{"name", name},
                          {"median_ms", timings[i].median_ms - spent},
                          {"min_ms", timings[i].min_ms - spent},
                          {"max_ms", timings[i].max_ms - spent},
                          {"difference_percent", percents[i]}});
  }
  Json peaks;
  for (const auto& [name, value] : peak_numbers(machine_peaks())) peaks[name] = value;
  return {{"network", std::string(peer_case.network)},
          {"batch", peer_case.batch},
          {"image", std::vector<std::int64_t>(images.dims().begin() + 1, images.dims().end())},
          {"threads", options.threads},
          {"samples", options.samples},
          {"date", fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr)))},
          {"command", peers_command(peer_case.name, options.samples, options.threads)},
          {"peers", {{"onnxruntime", runtime.version()}, {"libtorch", torch_version()}}},
          {"peaks", peaks},
          {"dispatch_ms", dispatch_ms},
          {"contenders", contenders}};
}

void run(const PeersOptions& options) {
  const TempFolder folder;
  OnnxRuntime runtime(options.node_modules, folder.path());
  Json measured = {{"cpu", cpu_name()}, {"cpu_features", cpu_features()}, {"cases", Json::object()}};
  fmt::print("CPU: {} ({})\n", cpu_name(), fmt::join(cpu_features(), " "));
  for (const auto& [name, value] : peak_numbers(machine_peaks())) fmt::print("  {} {:.4g}\n", name, value);
  for (const std::string& name : options.cases) {
    const auto peer_case = std::ranges::find(peer_cases(), std::string_view(name), &PeerCase::name);
    const Json result = run_case(*peer_case, options, runtime);
    measured["cases"][name] = result;
    fmt::print("\n{}: {} image{}, {} thread{}, medians of {}\n\n{}", name, peer_case->batch, peer_case->batch == 1 ? "" : "s",
               options.threads, options.threads == 1 ? "" : "s", options.samples, case_table(result));
    std::fflush(stdout);
    if (options.json.empty()) continue;
    Json report = read_report(options.json);
    merge_cases(report, measured);
    write_file_atomic(options.json, report.dump(2) + "\n");
  }
}

}  // namespace
}  // namespace bitwright

int main(int argc, char** argv) {
  try {
    bitwright::run(bitwright::parse_peers_options(std::span<const char* const>(argv + 1, static_cast<std::size_t>(argc - 1))));
    return 0;
  } catch (const bitwright::Error& error) {
    fmt::print(stderr, "error: {}\n", error.message());
    return bitwright::exit_code(error.code());
  }
}
