// SPDX-License-Identifier: Apache-2.0
// From a packed file to the first image's scores, in a fresh process each time: what a user waits for. The file is in the page cache, as it
// is the second time anyone opens it.
//   load_bench FILE.bw|NETWORK:FORMAT [--activations TYPE] [--threads N] [--samples N] [--json FILE]
// NETWORK:FORMAT, e.g. resnet18:pow2:5, makes the file first. Printed: medians over the processes.
#include "bench/median.h"
#include "bench/peers/report.h"
#include "bitwright/core/cpu.h"
#include "bitwright/core/error.h"
#include "bitwright/core/file.h"
#include "bitwright/core/rng.h"
#include "bitwright/core/subprocess.h"
#include "bitwright/model/packed_file.h"
#include "bitwright/model/zoo.h"
#include "bitwright/runtime/calibration.h"
#include "bitwright/runtime/session.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <map>

namespace bitwright {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double since_ms(Clock::time_point start) { return std::chrono::duration<double, std::milli>(Clock::now() - start).count(); }

/// One process' share: opens the file, runs one image, prints the parts of the time.
void run_once(const fs::path& file, Activations activations, int threads) {
  const auto start = Clock::now();
  Model model = load_packed(file);
  const double read_ms = since_ms(start);
  Session session(std::move(model), {.threads = threads, .batch = 1, .activations = activations});
  const double planned_ms = since_ms(start);
  const std::vector<float> input(static_cast<std::size_t>(session.input_shape().element_count()), 0.5F);
  std::vector<float> output(static_cast<std::size_t>(session.output_shape().element_count()));
  session.run(input, output);
  const double total_ms = since_ms(start);
  const Json parts = {{"read_ms", read_ms}, {"plan_ms", planned_ms - read_ms}, {"run_ms", total_ms - planned_ms}, {"total_ms", total_ms}};
  fmt::print("{}\n", parts.dump());
}

Model zoo_model(const std::string& text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) fail(ErrorCode::usage, "{}: neither a .bw file nor NETWORK:FORMAT; give one of them.", text);
  Model model = build_zoo_model(text.substr(0, colon), 1);
  const std::string format = text.substr(colon + 1);
  for (const std::string& name : quantizable_weights(model.graph)) {
    Weight& weight = model.weights.at(name);
    weight = quantize(NumberFormat::parse(format), weight_shape(weight), weight_values(weight));
  }
  return model;
}

/// A model with scales for int8, from random images.
Model calibrated(const Model& model) {
  const Shape images = model.graph.inputs.front().shape.with_dim(0, 2);
  const Rng rng(1, "load_bench.input");
  std::vector<float> values(static_cast<std::size_t>(images.element_count()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(rng.normal(i));
  return calibrate(model, values);
}

int number_of(std::string_view what, std::string_view digits) {
  int number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size() || number < 1) {
    fail(ErrorCode::usage, "{}: not a number (found \"{}\", need 1 or more); correct it.", what, digits);
  }
  return number;
}

Json measure(const std::string& self, const fs::path& file, Activations activations, int threads, int samples) {
  std::map<std::string, std::vector<double>> parts;
  for (int i = 0; i <= samples; ++i) {
    const SubprocessResult result =
        run_subprocess({self, "--once", file.string(), std::string(activations_name(activations)), std::to_string(threads)}, {},
                       KeptStreams::stdout_only);
    if (result.exit_status != 0)
      fail(ErrorCode::io, "{}: the measured process failed (exit {}); run it by hand.", self, result.exit_status);
    if (i == 0) continue;  // it brings the file and the program into the page cache
    const Json answer = Json::parse(result.output);
    for (const auto& [name, value] : answer.items()) parts[name].push_back(value.get<double>());
  }
  Json medians;
  for (const char* name : {"read_ms", "plan_ms", "run_ms", "total_ms"}) medians[name] = median(parts.at(name));
  return medians;
}

struct LoadOptions {
  std::string source;
  Activations activations = Activations::float32;
  int threads = 1;
  int samples = 20;
  fs::path json;
};

LoadOptions parse_options(std::span<const char* const> arguments) {
  constexpr std::string_view kUsage = "give FILE.bw|NETWORK:FORMAT [--activations TYPE] [--threads N] [--samples N] [--json FILE]";
  if (arguments.empty()) fail(ErrorCode::usage, "load_bench: no file (found 0 arguments, need 1 or more); {}.", kUsage);
  LoadOptions options{.source = arguments[0], .json = {}};
  for (std::size_t i = 1; i < arguments.size(); i += 2) {
    const std::string_view option = arguments[i];
    const bool known = option == "--activations" || option == "--threads" || option == "--samples" || option == "--json";
    if (!known || i + 1 == arguments.size()) fail(ErrorCode::usage, "load_bench: bad option \"{}\"; {}.", option, kUsage);
    if (option == "--activations") options.activations = parse_activations(arguments[i + 1]);
    if (option == "--threads") options.threads = number_of(option, arguments[i + 1]);
    if (option == "--samples") options.samples = number_of(option, arguments[i + 1]);
    if (option == "--json") options.json = arguments[i + 1];
  }
  return options;
}

void run(const std::string& self, std::span<const char* const> arguments) {
  if (arguments.size() == 4 && std::string_view(arguments[0]) == "--once")
    return run_once(arguments[1], parse_activations(arguments[2]), number_of("threads", arguments[3]));
  const LoadOptions options = parse_options(arguments);
  fs::path file = options.source;
  const bool makes_file = !fs::exists(file);
  if (makes_file) {
    file = fs::temp_directory_path() / fmt::format("bitwright-load-{}.bw", ::getpid());
    const Model model = zoo_model(options.source);
    save_packed(file, options.activations == Activations::int8 ? calibrated(model) : model);
  }
  const std::string_view activations = activations_name(options.activations);
  Json result = {{"cpu", cpu_name()},
                 {"date", fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr)))},
                 {"command", fmt::format("build/bench/bin/load_bench {} --activations {}{}", options.source, activations,
                                         options.threads == 1 ? "" : fmt::format(" --threads {}", options.threads))},
                 {"source", options.source},
                 {"activations", activations},
                 {"threads", options.threads},
                 {"file_bytes", fs::file_size(file)},
                 {"samples", options.samples}};
  const Json medians = measure(self, file, options.activations, options.threads, options.samples);
  for (const auto& [name, value] : medians.items()) result[name] = value;
  if (makes_file) fs::remove(file);
  fmt::print("{}\n", result.dump(2));
  if (!options.json.empty()) write_file_atomic(options.json, result.dump(2) + "\n");
}

}  // namespace
}  // namespace bitwright

int main(int argc, char** argv) {
  try {
    bitwright::run(argv[0], std::span<const char* const>(argv + 1, static_cast<std::size_t>(argc - 1)));
    return 0;
  } catch (const bitwright::Error& error) {
    fmt::print(stderr, "error: {}\n", error.message());
    return bitwright::exit_code(error.code());
  }
}
