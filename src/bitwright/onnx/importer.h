// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/model.h"
#include "bitwright/onnx/import.h"
#include "bitwright/onnx/proto.h"
#include "bitwright/onnx/tensor_bytes.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace bitwright::onnx {

/// An integer that may depend on the batch: fixed + per_image * batch.
struct Extent {
  std::int64_t fixed = 0;
  std::int64_t per_image = 0;
  friend bool operator==(const Extent&, const Extent&) = default;
};

/// A value computed from the graph's inputs. Its shape is known for batches of one and two, which says how each extent grows.
struct Activation {
  std::string name;  ///< in the model
  Shape one;
  Shape two;

  [[nodiscard]] std::vector<Extent> extents() const;
};

/// A value known at import: integers of shape arithmetic, or floats.
struct Constant {
  Shape shape;
  bool is_integer = false;
  std::vector<Extent> ints;
  std::vector<float> floats;
};

/// Integer weights with scales, as a DequantizeLinear node describes them: value = (code - zero point) * scale.
struct Dequantized {
  Shape shape;
  DataType type = DataType::int8;
  std::vector<std::int64_t> codes;
  std::vector<std::int64_t> zero_points;  ///< one, or one per extent of `axis`
  std::vector<float> scales;              ///< likewise
  std::size_t axis = 0;
};

/// What an ONNX name stands for; nothing where its maker is not supported.
using Value = std::variant<std::monostate, Activation, const TensorProto*, Constant, Dequantized, QuantizedTensor>;

/// Whether a matrix enters the model as it is or with its two axes exchanged.
enum class Layout { as_stored, transposed };

/// Thrown by `Importer::emit` for an operator that model/ops.inc lacks; collected into one message.
struct MissingOperator {};

/// Brings one ONNX graph to the operators of model/ops.inc. Rules (import_rules.inc) call the members below for one node each.
class Importer {
 public:
  Importer(const ModelProto& file, TensorBytes& tensors, std::string source);

  [[nodiscard]] Imported run();

  [[nodiscard]] std::int64_t opset() const noexcept { return opset_; }
  /// Batch that the file fixes, 0 where it leaves it open.
  [[nodiscard]] std::int64_t fixed_batch() const noexcept { return fixed_batch_; }

  /// Whether a node that matters or the graph's outputs read a value.
  [[nodiscard]] bool is_read(const std::string& value) const { return !value.empty() && needed_names_.contains(value); }
  /// Whether an input is given at all.
  [[nodiscard]] static bool has_input(const NodeProto& node, std::size_t input) noexcept;
  [[nodiscard]] const Value& value(const NodeProto& node, std::size_t input) const;
  [[nodiscard]] bool is_constant(const NodeProto& node, std::size_t input) const;
  /// A computed input. Throws: `Error(unsupported)` for a constant.
  [[nodiscard]] const Activation& activation(const NodeProto& node, std::size_t input) const;
  /// A constant input. Throws: `Error(unsupported)` when it is computed.
  [[nodiscard]] Constant constant(const NodeProto& node, std::size_t input);
  /// The same, of integers that do not depend on the batch.
  [[nodiscard]] std::vector<std::int64_t> integers(const NodeProto& node, std::size_t input);
  /// Integers that older operator sets have as an attribute and newer ones as an input; nothing where neither is given.
  [[nodiscard]] std::optional<std::vector<std::int64_t>> integers_or_attribute(const NodeProto& node, std::size_t input,
                                                                               std::string_view key);

  /// Name in the model of an input: of the activation, or of the weight that the constant becomes.
  [[nodiscard]] std::string operand(const NodeProto& node, std::size_t input);
  /// The weight that a constant becomes. Floats of `shape` instead of their own where one is given.
  [[nodiscard]] std::string weight(const NodeProto& node, std::size_t input, Layout layout, const std::optional<Shape>& shape = {});
  [[nodiscard]] const Shape& weight_shape_named(const std::string& name) const { return weight_shape(model_.weights.at(name)); }
  [[nodiscard]] std::vector<float> weight_values_named(const std::string& name) const { return weight_values(model_.weights.at(name)); }
  /// Another tensor for one reader of a weight: in its place where nobody else reads it. Returns the name.
  [[nodiscard]] std::string replace_weight(const std::string& name, FloatTensor tensor);
  [[nodiscard]] std::size_t constant_rank(const NodeProto& node, std::size_t input);
  /// Adds a weight of its own for a rule. Returns its name.
  [[nodiscard]] std::string add_weight(const std::string& wanted, FloatTensor tensor);

  /// Appends a node of the model and learns the shape of its output.
  /// `output`: the name of an output of the ONNX node, or empty for a value between. Returns the name in the model.
  /// Throws: `MissingOperator`; what the shape rule throws.
  std::string emit(const NodeProto& from, std::string_view op, std::vector<std::string> inputs, std::map<std::string, Attribute> attributes,
                   const std::string& output);
  /// Appends what gives `src` these extents: Flatten where that does, otherwise Reshape.
  std::string emit_reshape(const NodeProto& from, const Activation& src, const std::vector<Extent>& extents, const std::string& output);

  /// Activation of a name in the model.
  [[nodiscard]] const Activation& activation_named(const std::string& name) const { return shapes_.at(name); }
  /// Lets an output stand for an existing value or a constant.
  void set_output(const NodeProto& node, std::size_t output, Value value);
  void remark(std::string text) { remarks_.insert(std::move(text)); }
  [[nodiscard]] TensorBytes& tensors() noexcept { return tensors_; }

  /// Refuses a node. The message gets its name in front.
  [[noreturn]] static void refuse(const NodeProto& node, std::string_view what);
  [[nodiscard]] static std::string node_text(const NodeProto& node);

  // Attributes with defaults. Throws: `Error(invalid_input)` for another type.
  [[nodiscard]] static std::int64_t int_attribute(const NodeProto& node, std::string_view key, std::int64_t fallback);
  [[nodiscard]] static float float_attribute(const NodeProto& node, std::string_view key, float fallback);
  [[nodiscard]] static std::string text_attribute(const NodeProto& node, std::string_view key, std::string_view fallback);
  [[nodiscard]] static std::optional<std::vector<std::int64_t>> ints_attribute(const NodeProto& node, std::string_view key);
  /// All attributes in the model's types, without the keys to leave out.
  [[nodiscard]] static std::map<std::string, Attribute> attributes(const NodeProto& node, std::span<const std::string_view> without = {});

 private:
  friend class WeightRecognizer;
  void read_opset();
  void read_inputs();
  void read_initializers();
  void read_metadata();
  void mark_needed();
  void drop_unread_inputs();
  void drop_unread_nodes();
  void import_node(const NodeProto& node);
  void check_inputs(const NodeProto& node, const std::set<std::string>& later) const;
  void refuse_missing() const;
  [[nodiscard]] std::string model_name(const std::string& onnx_name);
  [[nodiscard]] std::string fresh_name(const std::string& wanted, std::set<std::string>& taken) const;
  [[nodiscard]] Weight weight_of(const Value& value, Layout layout, const NodeProto& node);

  const ModelProto& file_;
  TensorBytes& tensors_;
  std::string source_;
  std::int64_t opset_ = 0;
  std::int64_t fixed_batch_ = 0;
  Model model_;
  std::map<std::string, Value> values_;
  std::map<std::string, Activation> shapes_;    ///< by name in the model
  std::map<std::string, std::string> names_;    ///< ONNX name -> name in the model
  std::map<std::string, std::string> weights_;  ///< ONNX name and layout -> weight of the model
  std::set<std::string> taken_values_;
  std::set<std::string> taken_nodes_;
  std::vector<bool> needed_;
  std::set<std::string> needed_names_;
  std::map<std::string, std::vector<std::string>> missing_;  ///< operator -> nodes
  std::optional<Error> first_refusal_;
  std::set<std::string> remarks_;
};

/// Computes a node whose inputs are all constant, or whose answer is the shape of a value. False when it can't.
/// Throws: `Error(invalid_input)` for shapes and indices that do not fit.
[[nodiscard]] bool fold_constant(Importer& importer, const NodeProto& node);

/// Turns the metadata and graph pieces that `export_onnx` writes for quantized weights back into them: values of the returned map are
/// weights by name; nodes that make them are marked in `consumed`.
struct RecognizedWeights {
  std::map<std::string, QuantizedTensor> weights;
  std::vector<bool> consumed;  ///< per node of the file
};
[[nodiscard]] RecognizedWeights recognize_weights(const ModelProto& file, TensorBytes& tensors);

using ImportRule = void (*)(Importer&, const NodeProto&);

/// One line of import_rules.inc.
struct ImportEntry {
  std::string_view onnx;    ///< operator of ONNX
  std::string_view target;  ///< operators of model/ops.inc that it becomes, or what happens to it
  ImportRule rule;
};

}  // namespace bitwright::onnx
