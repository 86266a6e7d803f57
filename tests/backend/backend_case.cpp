// SPDX-License-Identifier: Apache-2.0
#include "tests/backend/backend_case.h"

#include "bitwright/core/file.h"
#include "bitwright/onnx/import.h"
#include "bitwright/onnx/proto.h"
#include "bitwright/onnx/tensor_bytes.h"
#include "bitwright/runtime/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <set>

namespace bitwright::test {
namespace {

namespace fs = std::filesystem;

// ONNX's backend test runner compares with these.
constexpr double kRelative = 1e-3;
constexpr double kAbsolute = 1e-7;

std::vector<std::byte> bytes_of(const fs::path& path) {
  const std::vector<std::byte> bytes = read_file(path);
  return bytes;
}

/// Tensors of a test data set by their number. Sequences and maps are none: their number is missing.
std::map<std::size_t, onnx::TensorProto> tensors_in(const fs::path& folder, const std::string& kind,
                                                    std::vector<std::vector<std::byte>>& keep_alive) {
  std::map<std::size_t, onnx::TensorProto> tensors;
  for (std::size_t i = 0;; ++i) {
    const fs::path path = folder / fmt::format("{}_{}.pb", kind, i);
    if (!fs::exists(path)) return tensors;
    keep_alive.push_back(bytes_of(path));
    try {
      tensors.emplace(i, onnx::parse_tensor(keep_alive.back(), path.string()));
    } catch (const Error&) {
      continue;
    }
  }
}

/// The importer's message without the name of the file, as it stands in the table.
std::string reason_of(const Error& error, const std::string& source) {
  std::string text = error.message();
  if (text.starts_with(source + ": ")) text.erase(0, source.size() + 2);
  return text;
}

std::optional<std::string> difference(std::span<const float> got, const Shape& got_shape, const std::vector<float>& need,
                                      const Shape& need_shape) {
  if (got_shape != need_shape) return fmt::format("shape {}, need {}", got_shape.to_string(), need_shape.to_string());
  for (std::size_t i = 0; i < need.size(); ++i) {
    const bool both_nan = std::isnan(got[i]) && std::isnan(need[i]);
    if (both_nan || got[i] == need[i]) continue;
    if (std::abs(static_cast<double>(got[i]) - need[i]) <= kAbsolute + kRelative * std::abs(static_cast<double>(need[i]))) continue;
    return fmt::format("element {} is {}, need {}", i, got[i], need[i]);
  }
  return std::nullopt;
}

/// Imports the model with one output and runs it. Nothing when all is well, else what is wrong. Throws: as import and Session.
std::optional<std::string> run_output(onnx::ModelProto model, std::size_t output, const std::string& source,
                                      const std::vector<float>& input, const Shape& input_shape, const std::vector<float>& need,
                                      const Shape& need_shape) {
  model.graph.outputs = {model.graph.outputs[output]};
  const std::vector<std::byte> file = onnx::write_model(model);
  Model imported = import_onnx(file, source).model;
  const std::int64_t batch = input_shape[0];
  Session session(std::move(imported), {.threads = 1, .batch = batch});
  std::vector<std::int64_t> dims{batch};
  for (const std::int64_t extent : session.output_shape().dims()) dims.push_back(extent);
  const Shape got_shape(dims);
  std::vector<float> got(static_cast<std::size_t>(got_shape.element_count()));
  session.run(input, got);
  return difference(got, got_shape, need, need_shape);
}

BackendVerdict run_data_set(const onnx::ModelProto& original, const fs::path& folder, const std::string& source) {
  std::vector<std::vector<std::byte>> keep_alive;
  const std::map<std::size_t, onnx::TensorProto> inputs = tensors_in(folder, "input", keep_alive);
  const std::map<std::size_t, onnx::TensorProto> outputs = tensors_in(folder, "output", keep_alive);
  onnx::TensorBytes values(source, std::nullopt, {});

  // Test data numbers the inputs that are not initializers.
  std::set<std::string> initialized;
  for (const onnx::TensorProto& tensor : original.graph.initializers) initialized.insert(tensor.name);
  onnx::ModelProto model = original;
  model.graph.inputs.clear();
  std::optional<std::size_t> fed;
  std::size_t number = 0;
  for (const onnx::ValueInfo& value : original.graph.inputs) {
    if (initialized.contains(value.name)) continue;
    const auto tensor = inputs.find(number);
    if (tensor == inputs.end()) return {BackendVerdict::Kind::skipped, fmt::format("input \"{}\" is no tensor", value.name)};
    const bool is_float = tensor->second.data_type == onnx::DataType::float32;
    if (!fed && is_float && !tensor->second.dims.empty()) {
      fed = number;
      model.graph.inputs.push_back(value);
    } else {
      onnx::TensorProto constant = tensor->second;
      constant.name = value.name;
      model.graph.initializers.push_back(std::move(constant));
    }
    ++number;
  }
  if (!fed) return {BackendVerdict::Kind::skipped, "no float32 input of rank 1 or more to feed"};
  const Shape input_shape = values.shape(inputs.at(*fed));
  if (input_shape.element_count() == 0) return {BackendVerdict::Kind::skipped, "the input is empty"};
  const std::vector<float> input = values.floats(inputs.at(*fed));

  std::size_t compared = 0;
  for (std::size_t output = 0; output < original.graph.outputs.size(); ++output) {
    const auto expected = outputs.find(output);
    if (expected == outputs.end() || expected->second.data_type != onnx::DataType::float32) continue;
    const Shape need_shape = values.shape(expected->second);
    const std::optional<std::string> wrong =
        run_output(model, output, source, input, input_shape, values.floats(expected->second), need_shape);
    if (wrong) return {BackendVerdict::Kind::failed, fmt::format("output {}: {}", output, *wrong)};
    ++compared;
  }
  if (compared == 0) return {BackendVerdict::Kind::skipped, "no float32 output"};
  return {BackendVerdict::Kind::passed, ""};
}

}  // namespace

std::vector<BackendCase> backend_cases(const fs::path& data, const std::string& set) {
  std::vector<BackendCase> cases;
  for (const fs::directory_entry& entry : fs::directory_iterator(data / set)) {
    if (!fs::exists(entry.path() / "model.onnx")) continue;
    BackendCase one{set, entry.path().filename().string().substr(5), entry.path(), {}};
    std::set<std::string> operators;
    try {
      const std::vector<std::byte> file = bytes_of(entry.path() / "model.onnx");
      for (const onnx::NodeProto& node : onnx::parse_model(file, one.name).graph.nodes) {
        operators.insert(node.domain.empty() || node.domain == "ai.onnx" ? node.op_type : node.domain + "." + node.op_type);
      }
    } catch (const Error&) {
      operators.insert("(unreadable)");
    }
    one.operators.assign(operators.begin(), operators.end());
    cases.push_back(std::move(one));
  }
  std::ranges::sort(cases, {}, &BackendCase::name);
  return cases;
}

BackendVerdict run_backend_case(const BackendCase& backend_case) {
  const std::string source = backend_case.name;
  try {
    const std::vector<std::byte> file = bytes_of(backend_case.folder / "model.onnx");
    const onnx::ModelProto model = onnx::parse_model(file, source);
    for (std::size_t i = 0;; ++i) {
      const fs::path folder = backend_case.folder / fmt::format("test_data_set_{}", i);
      if (!fs::exists(folder))
        return i > 0 ? BackendVerdict{BackendVerdict::Kind::passed, ""} : BackendVerdict{BackendVerdict::Kind::skipped, "no data"};
      const BackendVerdict verdict = run_data_set(model, folder, source);
      if (verdict.kind != BackendVerdict::Kind::passed) return verdict;
    }
  } catch (const Error& error) {
    const bool refused = error.code() == ErrorCode::unsupported;
    return {refused ? BackendVerdict::Kind::skipped : BackendVerdict::Kind::failed, reason_of(error, source)};
  }
}

}  // namespace bitwright::test
