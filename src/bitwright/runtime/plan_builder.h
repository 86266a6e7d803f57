// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/runtime/constant_cache.h"
#include "bitwright/runtime/convert.h"
#include "bitwright/runtime/plan.h"
#include "bitwright/runtime/primitive_maker.h"
#include "bitwright/runtime/value_forms.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace bitwright {

/// A value of the graph as it lies in the arena.
struct PlannedValue {
  dnnl::memory::desc desc;
  BufferId buffer = 0;
  float scale = 1.0F;  ///< of codes: value = code * scale

  [[nodiscard]] ValueForm form() const noexcept { return {.type = value_type(desc), .scale = scale}; }
};

/// What follows a Conv or Gemm and is computed with it: y = relu(scale * x + shift + residual), each part optional.
struct FusedTail {
  std::vector<float> scale;  ///< per output channel; empty = 1
  std::vector<float> shift;  ///< per output channel; empty = 0
  std::optional<std::string> residual;
  bool has_relu = false;
  std::string output;  ///< name of the value that the fused nodes make
};

/// State of planning one model for one batch: what is planned so far, and how to add to it.
class PlanBuilder {
 public:
  PlanBuilder(const Model& model, const PlanRequest& request, ConstantCache& constants);

  [[nodiscard]] const Graph& graph() const noexcept { return model_.graph; }
  [[nodiscard]] int threads() const noexcept { return threads_; }
  [[nodiscard]] ConstantCache& constants() noexcept { return constants_; }
  [[nodiscard]] const Shape& shape(std::string_view value) const;

  /// Whether a name is a weight of the model rather than a value that the graph computes.
  [[nodiscard]] bool is_weight(std::string_view name) const { return model_.weights.contains(name); }
  /// A weight of the model. Throws: `Error(unsupported)` when the input is a computed value.
  [[nodiscard]] const Weight& weight(const Node& node, std::size_t input) const;
  /// Its values as float; empty for an input that is left out.
  [[nodiscard]] std::vector<float> weight_floats(const Node& node, std::size_t input) const;
  /// Memory that weights pass through on their way to a kernel's layout: whoever is done leaves it for the next, which finds it in the
  /// cache.
  struct PassingWeights {
    std::vector<float> values;
    std::vector<std::int8_t> codes;
  };
  [[nodiscard]] PassingWeights& passing_weights() noexcept { return passing_weights_; }

  /// A planned value as its maker left it. Throws: `Error(unsupported)` when the input is a weight.
  [[nodiscard]] const PlannedValue& stored_value(const Node& node, std::size_t input) const;
  /// Its form. Requires: it is planned.
  [[nodiscard]] ValueForm stored_form(const std::string& value) const { return values_.find(value)->second.form(); }
  /// The same as float32, in the layout its maker chose.
  [[nodiscard]] PlannedValue value(const Node& node, std::size_t input);
  /// The same as float32 or bfloat16, in the layout its maker chose.
  [[nodiscard]] PlannedValue floating_value(const Node& node, std::size_t input);
  /// The same value in another layout: a reorder is added where needed, once per value and layout.
  [[nodiscard]] PlannedValue value_as(const std::string& name, const dnnl::memory::desc& desc, float scale = 1.0F);
  /// In row-major layout.
  [[nodiscard]] PlannedValue plain_value(const Node& node, std::size_t input);

  /// Which values are held in few bits.
  [[nodiscard]] const ValueForms& forms() const noexcept { return forms_; }
  [[nodiscard]] Activations activations() const noexcept { return forms_.activations(); }
  /// Form in which a node that multiplies in few bits reads its input 0; nothing when it must read float32, with the reason in `refusals`.
  [[nodiscard]] std::optional<ValueForm> narrow_source(const Node& node, std::vector<std::string>& refusals) const;

  [[nodiscard]] BufferId new_buffer(std::int64_t bytes);
  /// Where the plan's input lies, float32 and row-major.
  [[nodiscard]] BufferId input_buffer() const noexcept { return input_buffer_; }
  /// A new value with its own buffer / in the buffer of another value.
  PlannedValue make_value(const std::string& name, const dnnl::memory::desc& desc, float scale = 1.0F);
  void make_alias(const std::string& name, const PlannedValue& other);

  /// Whether a value is planned and every node that reads it is planned or fused, so that its buffer may be written.
  [[nodiscard]] bool is_overwritable(const std::string& name) const;

  /// Finds the nodes that can be computed together with `node` (batch normalization, then residual, then Relu, as far as they are the only
  /// readers) and marks them as planned.
  [[nodiscard]] FusedTail fuse_tail(const Node& node);
  /// For a MatMul by stored weights with `outputs` columns: a stored bias that is added along the last axis, then Relu, as far as they are
  /// the only readers; the bias becomes `shift`.
  [[nodiscard]] FusedTail fuse_bias(const Node& node, std::int64_t outputs);
  /// For operators that fuse only a Relu: whether one follows; `output` becomes its output.
  [[nodiscard]] bool fuse_relu(const Node& node, std::string& output);
  /// Name of what the node makes: its own output, or that of the Relu which would be fused into it.
  [[nodiscard]] const std::string& after_relu(const Node& node) const;
  [[nodiscard]] bool is_fused(const Node& node) const { return fused_.contains(&node); }
  void mark_planned(const Node& node) { planned_.insert(&node); }

  /// Gives a destination for `tail`: the residual's own buffer when it has this layout and dies here, else a new one with the residual
  /// copied in.
  [[nodiscard]] PlannedValue destination_of(const FusedTail& tail, const dnnl::memory::desc& desc);
  /// The same for codes: the residual lies in the destination's buffer in a form of its own. Requires: both have elements of one size.
  [[nodiscard]] PlannedValue destination_of(const FusedTail& tail, const PlannedValue& dst, const ValueForm& residual);

  /// A constant of `desc` made from row-major values.
  [[nodiscard]] dnnl::memory constant(const std::string& key, std::span<const float> values, const dnnl::memory::desc& plain,
                                      const dnnl::memory::desc& desc);
  [[nodiscard]] dnnl::memory constant(const std::string& key, std::span<const std::int8_t> codes, const dnnl::memory::desc& plain,
                                      const dnnl::memory::desc& desc);

  void add_step(std::unique_ptr<Step> step);
  /// Adds a primitive with its scratchpad.
  void add_primitive(const dnnl::primitive& primitive, const dnnl::memory::desc& scratchpad, std::vector<PrimitiveArgument> arguments);
  /// For primitives that take long to make: whoever makes them, it may be on another thread.
  void add_primitive(PrimitiveMaker::Make make, const dnnl::memory::desc& scratchpad, std::vector<PrimitiveArgument> arguments);
  /// One of the primitives that make the parts of one value on a thread each. Requires: made for one thread.
  struct Part {
    PrimitiveMaker::Make make;
    dnnl::memory::desc scratchpad;
    std::vector<PrimitiveArgument> arguments;
  };
  /// Requires: at most `threads()` parts.
  void add_parts(std::vector<Part> parts);
  void add_loop(std::vector<BufferId> reads, std::vector<BufferId> writes, LoopStep::Loop loop);
  void report(const Node& node, std::string kernel, std::vector<std::string> refusals = {}, ValueType type = ValueType::float32);

  /// Lets the plan's observer see what was made since the last call.
  void observe_new_values();

  /// Lays out the arena, binds the steps and hands the plan over.
  [[nodiscard]] Plan finish() &&;

 private:
  const Node* only_reader(const std::string& value) const;
  void fuse(const Node& node, const Node& into);
  /// Takes the Relu that alone reads `output` into a node; `output` becomes the Relu's. False when there is none.
  bool fuse_relu_behind(const Node& into, std::string& output);
  void add_reorder(const std::string& name, const PlannedValue& src, const PlannedValue& dst);
  /// A reorder that changes the type. Returns the kernel's name.
  std::string add_conversion(const std::string& name, const PlannedValue& src, const PlannedValue& dst);
  std::unique_ptr<PrimitiveStep> step_of(std::future<dnnl::primitive> primitive, const dnnl::memory::desc& scratchpad,
                                         std::vector<PrimitiveArgument> arguments);
  dnnl::memory stored_constant(const std::string& key, const void* values, std::size_t bytes, const dnnl::memory::desc& plain,
                               const dnnl::memory::desc& desc);

  const Model& model_;
  ShapeMap shapes_;
  int threads_;
  std::string refusal_;  // of the mode that was asked for; empty when it runs
  ValueForms forms_;
  ValueObserver observer_;
  std::vector<std::string> unobserved_;
  ConstantCache& constants_;
  PassingWeights passing_weights_;
  PrimitiveMaker maker_;
  std::shared_ptr<const HelperPools> helper_pools_;
  Plan plan_;
  std::vector<std::int64_t> buffer_bytes_;
  std::map<std::string, PlannedValue, std::less<>> values_;
  std::map<std::string, std::vector<PlannedValue>, std::less<>> converted_;
  std::set<const Node*> fused_;
  std::set<const Node*> planned_;
  BufferId input_buffer_ = 0;
};

/// Row-major float32.
[[nodiscard]] dnnl::memory::desc plain_desc(const Shape& shape);
/// Row-major, or for images channels last: the layout of values in few bits.
[[nodiscard]] dnnl::memory::desc narrow_desc(const Shape& shape, ValueType type);
/// Float32 in the layout that oneDNN likes best.
[[nodiscard]] dnnl::memory::desc any_desc(const dnnl::memory::dims& dims);
/// An argument bound to a planned value.
[[nodiscard]] PrimitiveArgument reads(int id, const PlannedValue& value);
[[nodiscard]] PrimitiveArgument writes(int id, const PlannedValue& value);
[[nodiscard]] PrimitiveArgument updates(int id, const PlannedValue& value);
[[nodiscard]] PrimitiveArgument constant_argument(int id, const dnnl::memory& memory);
/// Attributes of every primitive: float32 arithmetic, scratchpad from us.
[[nodiscard]] dnnl::primitive_attr strict_attributes();

}  // namespace bitwright
