// SPDX-License-Identifier: Apache-2.0
#include "tests/interop/backend_case.h"

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

/// A tensor whose values lie in its typed lists, with raw bytes: what `write_model` writes.
void make_raw(onnx::TensorProto& tensor) {
  if (tensor.has_raw) return;
  std::vector<std::byte>& bytes = tensor.storage;
  const auto append = [&bytes](const auto& value, std::size_t width) {
    const auto* const from = reinterpret_cast<const std::byte*>(&value);
    bytes.insert(bytes.end(), from, from + width);
  };
  for (const float value : tensor.floats) append(value, sizeof value);
  for (const double value : tensor.doubles) append(value, sizeof value);
  const int bits = onnx::data_type_bits(tensor.data_type);
  for (const std::int64_t value : tensor.ints) append(value, static_cast<std::size_t>(bits / 8));
  tensor.has_raw = true;
}

/// A case's inputs: the tensors that its test data gives, in the order of the graph's inputs.
struct Inputs {
  std::vector<onnx::ValueInfo> values;
  std::vector<onnx::TensorProto> tensors;
};

struct Fed {
  onnx::ModelProto model;
  Shape shape;
  std::vector<float> values;
  bool lifted = false;  ///< outputs have one axis more in front
};

bool is_float(const onnx::TensorProto& tensor) { return tensor.data_type == onnx::DataType::float32; }

void add_constant(onnx::ModelProto& model, const onnx::ValueInfo& value, onnx::TensorProto tensor) {
  make_raw(tensor);
  tensor.name = value.name;
  model.graph.initializers.push_back(std::move(tensor));
}

onnx::ValueInfo float_input(std::string name, const std::vector<std::int64_t>& dims) {
  onnx::ValueInfo value;
  value.name = std::move(name);
  value.type = onnx::DataType::float32;
  value.has_shape = true;
  for (const std::int64_t dim : dims) value.dims.push_back({dim, ""});
  return value;
}

/// As it stands: the first float input is the network's, its first axis the batch; every other input is a constant.
std::optional<Fed> feed_first(const onnx::ModelProto& model, const Inputs& inputs, onnx::TensorBytes& bytes) {
  Fed fed{model, {}, {}, false};
  fed.model.graph.inputs.clear();
  for (std::size_t i = 0; i < inputs.values.size(); ++i) {
    if (fed.values.empty() && is_float(inputs.tensors[i]) && !inputs.tensors[i].dims.empty()) {
      fed.shape = bytes.shape(inputs.tensors[i]);
      fed.values = bytes.floats(inputs.tensors[i]);
      fed.model.graph.inputs.push_back(inputs.values[i]);
    } else {
      add_constant(fed.model, inputs.values[i], inputs.tensors[i]);
    }
  }
  if (fed.values.empty()) return std::nullopt;
  return fed;
}

/// Gives the node, whose values have one axis more in front, the attributes and constants that mean the same axes as before.
/// False when there are none. `rank`: of the case's first float input.
bool lift_node(onnx::NodeProto& node, std::vector<onnx::TensorProto>& constants, std::int64_t rank, std::int64_t opset) {
  static const std::set<std::string> kElementwise = {
      "Abs", "Add", "Clip",  "Div", "Elu",  "Erf",     "Exp",  "Gelu", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "MatMul",
      "Mul", "Neg", "PRelu", "Pow", "Relu", "Sigmoid", "Sqrt", "Sub",  "Sum",         "Tanh",      "Cast",     "Dropout",   "Constant"};
  const auto find = [&node](const std::string& key) { return std::ranges::find(node.attributes, key, &onnx::AttributeProto::name); };
  const auto set_int = [&](const std::string& key, std::int64_t value) {
    const auto found = find(key);
    onnx::AttributeProto& attribute = found == node.attributes.end() ? node.attributes.emplace_back() : *found;
    attribute = {};
    attribute.name = key;
    attribute.type = static_cast<std::int32_t>(onnx::AttributeType::integer);
    attribute.i = value;
  };
  const auto set_ints = [&](const std::string& key, std::vector<std::int64_t> values) {
    const auto found = find(key);
    onnx::AttributeProto& attribute = found == node.attributes.end() ? node.attributes.emplace_back() : *found;
    attribute = {};
    attribute.name = key;
    attribute.type = static_cast<std::int32_t>(onnx::AttributeType::integers);
    attribute.ints = std::move(values);
  };
  const auto lift_axis = [&](std::int64_t fallback) {
    const std::int64_t axis = find("axis") == node.attributes.end() ? fallback : find("axis")->i;
    set_int("axis", axis < 0 ? axis : axis + 1);
  };
  const auto behind = [](std::vector<std::int64_t> axes) {
    for (std::int64_t& axis : axes) axis += axis < 0 ? 0 : 1;
    return axes;
  };
  const auto counted = [](std::int64_t count) {
    std::vector<std::int64_t> axes;
    for (std::int64_t axis = 1; axis <= count; ++axis) axes.push_back(axis);
    return axes;
  };
  onnx::TensorBytes bytes("constants", std::nullopt, {});
  // Integers of input `i` through a change, as a new constant.
  const auto change_input = [&](std::size_t i, const auto& change) {
    const auto found = std::ranges::find(constants, node.inputs.at(i), &onnx::TensorProto::name);
    if (found == constants.end()) return false;
    const std::vector<std::int64_t> values = change(bytes.integers(*found));
    onnx::TensorProto changed;
    changed.name = found->name + ".lifted";
    changed.data_type = onnx::DataType::int64;
    changed.dims = {std::ssize(values)};
    changed.ints = values;
    make_raw(changed);
    node.inputs[i] = changed.name;
    constants.push_back(std::move(changed));
    return true;
  };
  const auto lift_axes = [&](std::size_t input, const std::vector<std::int64_t>& fallback) {
    if (node.inputs.size() > input && !node.inputs[input].empty()) return change_input(input, behind);
    const auto found = find("axes");
    if (found == node.attributes.end() && fallback.empty()) return true;
    set_ints("axes", found == node.attributes.end() ? fallback : behind(found->ints));
    return true;
  };
  const std::string& op = node.op_type;
  if (op == "PRelu" && opset < 7) return false;  // its list of slopes is bound to axis 1
  if (kElementwise.contains(op)) return find("axis") == node.attributes.end();
  if (op == "Concat" || op == "Gather" || op == "Split") {
    lift_axis(0);
  } else if (op == "LayerNormalization") {
    lift_axis(-1);
  } else if (op == "Softmax") {
    lift_axis(-1);
  } else if (op == "Transpose") {
    const auto found = find("perm");
    std::vector<std::int64_t> perm{0};
    for (std::int64_t axis = 0; axis < rank; ++axis) {
      perm.push_back(1 + (found == node.attributes.end() ? rank - 1 - axis : found->ints.at(static_cast<std::size_t>(axis))));
    }
    set_ints("perm", perm);
  } else if (op == "ReduceMean") {
    return lift_axes(1, counted(rank));
  } else if (op == "Squeeze" || op == "Unsqueeze") {
    return lift_axes(1, {});
  } else if (op == "Reshape") {
    if (find("allowzero") != node.attributes.end()) return false;
    return node.inputs.size() == 2 && change_input(1, [](std::vector<std::int64_t> shape) {
             shape.insert(shape.begin(), 0);
             return shape;
           });
  } else if (op == "Slice" && node.inputs.size() >= 3) {
    if (node.inputs.size() > 3 && !node.inputs[3].empty()) return change_input(3, behind);
    onnx::TensorProto axes;
    axes.name = "axes.lifted";
    axes.data_type = onnx::DataType::int64;
    const auto starts = std::ranges::find(constants, node.inputs[1], &onnx::TensorProto::name);
    if (starts == constants.end()) return false;
    axes.ints = counted(starts->dims.at(0));
    axes.dims = {std::ssize(axes.ints)};
    make_raw(axes);
    node.inputs.resize(std::max<std::size_t>(node.inputs.size(), 4));
    node.inputs[3] = axes.name;
    constants.push_back(std::move(axes));
  } else if (op == "Pad") {
    const auto room = [](std::vector<std::int64_t> pads) {
      pads.insert(pads.begin() + static_cast<std::ptrdiff_t>(pads.size() / 2), 0);
      pads.insert(pads.begin(), 0);
      return pads;
    };
    if (node.inputs.size() > 1) return node.inputs.size() < 4 && change_input(1, room);
    const auto found = find("pads");
    if (found == node.attributes.end()) return false;
    set_ints("pads", room(found->ints));
  } else {
    return false;
  }
  return true;
}

enum class Computed { first, all };

/// The case for a batch of one: every fed tensor has an axis of extent 1 in front. `Computed::all`: all float inputs come from the
/// network's one input, cut out of it, so that operators meet values where `feed_first` gives them constants.
std::optional<Fed> feed_lifted(const onnx::ModelProto& model, const Inputs& inputs, onnx::TensorBytes& bytes, Computed computed) {
  Fed fed{model, {}, {}, true};
  onnx::GraphProto& graph = fed.model.graph;
  graph.inputs.clear();
  std::vector<std::size_t> floats;
  std::size_t rank = 0;
  for (std::size_t i = 0; i < inputs.values.size(); ++i) {
    if (!is_float(inputs.tensors[i]) || (computed == Computed::first && !floats.empty())) {
      add_constant(fed.model, inputs.values[i], inputs.tensors[i]);
    } else {
      floats.push_back(i);
      rank = std::max(rank, inputs.tensors[i].dims.size());
    }
  }
  if (floats.empty() || (computed == Computed::all && floats.size() < 2)) return std::nullopt;
  const std::int64_t opset = model.opset_imports.empty() ? 1 : model.opset_imports.front().second;
  std::set<std::string> computed_names;
  for (const std::size_t i : floats) computed_names.insert(inputs.values[i].name);
  for (onnx::NodeProto& node : graph.nodes) {
    const auto is_computed = [&](const std::string& name) { return computed_names.contains(name); };
    if (std::ranges::none_of(node.inputs, is_computed)) continue;
    // Where a constant must have the rank of the computed inputs, only the way with all inputs computed has a form.
    if (node.op_type == "Concat" && !std::ranges::all_of(node.inputs, is_computed)) return std::nullopt;
    static const std::set<std::string> kWithParameters = {"LayerNormalization", "PRelu"};
    if (computed == Computed::all && kWithParameters.contains(node.op_type)) return std::nullopt;
    if (!lift_node(node, graph.initializers, static_cast<std::int64_t>(inputs.tensors[floats[0]].dims.size()), opset)) return std::nullopt;
    computed_names.insert(node.outputs.begin(), node.outputs.end());
  }
  const auto lifted_dims = [&](const onnx::TensorProto& tensor) {
    std::vector<std::int64_t> dims(1 + rank - tensor.dims.size(), 1);
    dims.insert(dims.end(), tensor.dims.begin(), tensor.dims.end());
    return dims;
  };
  if (computed == Computed::first) {
    const onnx::TensorProto& tensor = inputs.tensors[floats[0]];
    fed.values = bytes.floats(tensor);
    fed.shape = Shape(lifted_dims(tensor));
    graph.inputs.push_back(float_input(inputs.values[floats[0]].name, fed.shape.dims()));
    return fed;
  }
  std::vector<onnx::NodeProto> cuts;
  const auto constant = [&](const std::string& name, std::vector<std::int64_t> values) {
    onnx::TensorProto tensor;
    tensor.name = name;
    tensor.data_type = onnx::DataType::int64;
    tensor.dims = {std::ssize(values)};
    tensor.ints = std::move(values);
    make_raw(tensor);
    graph.initializers.push_back(std::move(tensor));
    return name;
  };
  for (const std::size_t i : floats) {
    const std::vector<float> values = bytes.floats(inputs.tensors[i]);
    const auto begin = std::ssize(fed.values);
    fed.values.insert(fed.values.end(), values.begin(), values.end());
    const std::string& name = inputs.values[i].name;
    std::vector<std::int64_t> dims = lifted_dims(inputs.tensors[i]);
    dims[0] = -1;
    onnx::NodeProto slice;
    slice.op_type = "Slice";
    slice.inputs = {"all inputs", constant(name + ".begin", {begin}), constant(name + ".end", {std::ssize(fed.values)}),
                    constant(name + ".axis", {1})};
    slice.outputs = {name + ".flat"};
    onnx::NodeProto reshape;
    reshape.op_type = "Reshape";
    reshape.inputs = {name + ".flat", constant(name + ".dims", dims)};
    reshape.outputs = {name};
    cuts.push_back(std::move(slice));
    cuts.push_back(std::move(reshape));
  }
  graph.nodes.insert(graph.nodes.begin(), cuts.begin(), cuts.end());
  fed.shape = Shape{1, std::ssize(fed.values)};
  graph.inputs.push_back(float_input("all inputs", fed.shape.dims()));
  // Slice with inputs exists since opset 10.
  for (auto& [domain, version] : fed.model.opset_imports) {
    if (version < 10) return std::nullopt;
  }
  return fed;
}

/// Imports the model with one output and runs it. Nothing when all is well, else what is wrong. Throws: as import and Session.
std::optional<std::string> run_output(const Fed& fed, std::size_t output, const std::string& source, const std::vector<float>& need,
                                      const Shape& need_shape) {
  onnx::ModelProto model = fed.model;
  model.graph.outputs = {model.graph.outputs[output]};
  for (onnx::TensorProto& tensor : model.graph.initializers) make_raw(tensor);
  for (onnx::NodeProto& node : model.graph.nodes) {
    for (onnx::AttributeProto& attribute : node.attributes) {
      if (attribute.t) make_raw(*attribute.t);
    }
  }
  const std::vector<std::byte> file = onnx::write_model(model);
  Session session(import_onnx(file, source).model, {.threads = 1, .batch = fed.shape[0]});
  std::vector<std::int64_t> dims{fed.shape[0]};
  for (const std::int64_t extent : session.output_shape().dims()) dims.push_back(extent);
  const Shape got_shape(dims);
  std::vector<float> got(static_cast<std::size_t>(got_shape.element_count()));
  session.run(fed.values, got);
  std::vector<std::int64_t> need_dims = need_shape.dims();
  // Cut-out scalars were given axes up to the largest rank, so an output may have more ones in front than the lifted axis.
  if (fed.lifted) need_dims.insert(need_dims.begin(), dims.size() > need_dims.size() ? dims.size() - need_dims.size() : 1, 1);
  return difference(got, got_shape, need, Shape(need_dims));
}

BackendVerdict run_fed(const std::optional<Fed>& fed, const onnx::ModelProto& original,
                       const std::map<std::size_t, onnx::TensorProto>& outputs, const std::string& source) {
  using Kind = BackendVerdict::Kind;
  if (!fed) return {Kind::skipped, "no float32 input of rank 1 or more to feed"};
  if (fed->values.empty()) return {Kind::skipped, "the input is empty"};
  onnx::TensorBytes bytes(source, std::nullopt, {});
  std::size_t compared = 0;
  std::string reason = "no float32 output";
  for (std::size_t output = 0; output < original.graph.outputs.size(); ++output) {
    const auto expected = outputs.find(output);
    if (expected == outputs.end() || !is_float(expected->second)) continue;
    try {
      const std::optional<std::string> wrong =
          run_output(*fed, output, source, bytes.floats(expected->second), bytes.shape(expected->second));
      if (wrong) return {Kind::failed, fmt::format("output {}: {}", output, *wrong)};
      ++compared;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::unsupported) return {Kind::failed, reason_of(error, source)};
      // Second outputs (statistics of a normalization, say) may be refused where nobody uses them.
      if (output == 0) reason = reason_of(error, source);
    }
  }
  if (compared == 0) return {Kind::skipped, reason};
  return {Kind::passed, ""};
}

BackendVerdict run_data_set(const onnx::ModelProto& original, const fs::path& folder, const std::string& source) {
  using Kind = BackendVerdict::Kind;
  std::vector<std::vector<std::byte>> keep_alive;
  const std::map<std::size_t, onnx::TensorProto> tensors = tensors_in(folder, "input", keep_alive);
  const std::map<std::size_t, onnx::TensorProto> outputs = tensors_in(folder, "output", keep_alive);
  // Test data numbers the inputs that are not initializers.
  std::set<std::string> initialized;
  for (const onnx::TensorProto& tensor : original.graph.initializers) initialized.insert(tensor.name);
  Inputs inputs;
  for (const onnx::ValueInfo& value : original.graph.inputs) {
    if (initialized.contains(value.name)) continue;
    const auto tensor = tensors.find(inputs.values.size());
    if (tensor == tensors.end() || value.type == onnx::DataType::undefined) {
      return {Kind::skipped, fmt::format("input \"{}\" is no tensor", value.name)};
    }
    inputs.values.push_back(value);
    inputs.tensors.push_back(tensor->second);
  }
  onnx::TensorBytes bytes(source, std::nullopt, {});
  const BackendVerdict as_it_stands = run_fed(feed_first(original, inputs, bytes), original, outputs, source);
  bool passed = as_it_stands.kind == Kind::passed;
  if (as_it_stands.kind == Kind::failed) return as_it_stands;
  for (const Computed computed : {Computed::first, Computed::all}) {
    const std::optional<Fed> fed = feed_lifted(original, inputs, bytes, computed);
    if (!fed) continue;
    const BackendVerdict verdict = run_fed(fed, original, outputs, source);
    if (verdict.kind == Kind::failed) return {Kind::failed, "with a batch axis in front: " + verdict.reason};
    passed = passed || verdict.kind == Kind::passed;
  }
  return passed ? BackendVerdict{Kind::passed, ""} : as_it_stands;
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
