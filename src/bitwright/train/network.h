// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/model.h"
#include "bitwright/train/recipe.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

class StateReader;
class StateWriter;

enum class Mode {
  train,  ///< batch-norm uses the batch's statistics and updates the running ones, Dropout drops; gradients are recorded
  eval,   ///< running statistics, nothing dropped, float32, no gradients
};

/// Which pass a seam is called in.
struct PassContext {
  Mode mode = Mode::eval;
  std::int64_t step = 0;  ///< global step in `Mode::train`; keys random draws
};

/// A seam: what a method makes of a weight before a node uses it, or of a node's output.
using TensorTransform = std::function<at::Tensor(const at::Tensor&, const PassContext&)>;

/// A seam: what computes a node in place of the registered operator, e.g. in another arithmetic. Inputs are as the operator gets them,
/// weights transformed.
using NodeForward = std::function<at::Tensor(const Node&, std::span<const at::Tensor> inputs, const PassContext&)>;

/// A tensor that the optimizer changes.
struct Parameter {
  enum class Role {
    weight,  ///< input 1 of Conv, Gemm and MatMul: what methods may quantize
    other,   ///< biases, scale and shift of normalizations, operands of elementwise operators
  };
  std::string name;
  Role role = Role::other;
  at::Tensor tensor;  ///< float32, contiguous, a leaf that requires a gradient; its storage never moves
};

struct NetworkOptions {
  Precision precision = Precision::float32;             ///< of Conv and Gemm in `Mode::train`; see `usable_precision`
  Precision evaluation_precision = Precision::float32;  ///< the same in `Mode::eval`; all but a teacher evaluate in float32
  std::uint64_t seed = 1;                               ///< for Dropout
  at::Device device = at::kCPU;                         ///< where parameters live and the graph runs
};

/// bfloat16 where this processor multiplies it in hardware (AVX512-BF16 or AMX), else float32: emulated bfloat16 is slower than float32.
/// On another device than the CPU: what was wanted.
[[nodiscard]] Precision usable_precision(Precision wanted, at::Device device = at::kCPU);

/// Runs a model's graph on LibTorch tensors, with autograd.
///
/// Convolutions work on channels-last activations: measured on LeNet-5 (batch 64, 2 threads) a float32 step takes 7.0 ms instead of
/// 8.2 ms and a bfloat16 step 3.3 ms instead of 6.8 ms.
class Network {
 public:
  /// Quantized weights of the model become float ones. A Softmax that makes the graph's output is left out: `forward` returns logits.
  /// A model whose products state number formats is evaluated in integers, as `Session` does, and only method `fixed` trains it.
  /// Requires: a valid model with one input and one output.
  explicit Network(Model model, NetworkOptions options = {});
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  /// Logits, float32. `images`: NCHW float32. `step` keys Dropout's draws.
  [[nodiscard]] at::Tensor forward(const at::Tensor& images, Mode mode, std::int64_t step = 0);

  /// Name of the first node whose output is not finite for this batch; nothing when all are.
  [[nodiscard]] std::optional<std::string> first_not_finite(const at::Tensor& images, Mode mode, std::int64_t step = 0);

  [[nodiscard]] const Graph& graph() const noexcept { return model_.graph; }
  [[nodiscard]] const InputTransform& input_transform() const noexcept { return model_.input_transform; }
  [[nodiscard]] std::span<const Parameter> parameters() const noexcept { return parameters_; }
  [[nodiscard]] Precision training_precision() const noexcept { return options_.precision; }
  /// Names of the weights that methods may quantize, in graph order.
  [[nodiscard]] std::vector<std::string> weight_names() const;
  /// The tensor of a parameter. Throws: `Error(internal)` on an unknown name.
  [[nodiscard]] const at::Tensor& parameter(std::string_view name) const;

  [[nodiscard]] at::Device device() const noexcept { return options_.device; }

  /// Seams; an empty function removes the transform. Throws: `Error(internal)` on an unknown name.
  void set_weight_transform(std::string_view weight, TensorTransform transform);
  void set_output_transform(std::string_view node, TensorTransform transform);
  void set_node_forward(std::string_view node, NodeForward forward);
  /// What nodes get in place of a weight: the parameter's tensor, transformed where a transform is set. Throws: `Error(internal)` on an
  /// unknown name.
  [[nodiscard]] at::Tensor transformed_weight(std::string_view weight, const PassContext& pass) const;

  /// The model as trained so far: for every weight the codes that `freeze` returns, else floats.
  using Freeze = std::function<std::optional<QuantizedTensor>(std::string_view weight)>;
  [[nodiscard]] Model to_model(const Freeze& freeze) const;

  /// Parameters, batch-norm statistics and other tensors that training does not change.
  void save(StateWriter& state) const;
  void load(StateReader& state);

 private:
  /// Where a node's input comes from.
  struct Source {
    enum class Kind { absent, value, parameter, buffer } kind = Kind::absent;
    std::size_t index = 0;
  };
  struct Step {
    const Node* node = nullptr;
    std::vector<Source> inputs;
    std::size_t output = 0;
    TensorTransform output_transform;
    NodeForward forward;  ///< empty: the registered operator
  };
  struct Buffer {
    std::string name;
    at::Tensor tensor;
  };
  using Observer = std::function<void(const Node&, const at::Tensor&)>;

  [[nodiscard]] Step& step_of(std::string_view node);
  [[nodiscard]] std::size_t parameter_index(std::string_view name) const;
  [[nodiscard]] at::Tensor transformed(std::size_t parameter, const PassContext& pass) const;
  void add_tensors();
  void add_steps();
  [[nodiscard]] at::Tensor run(const at::Tensor& images, Mode mode, std::int64_t step, const Observer& observer);

  Model model_;
  NetworkOptions options_;
  std::vector<Parameter> parameters_;
  std::vector<TensorTransform> weight_transforms_;  ///< per parameter, may be empty
  std::vector<Buffer> buffers_;                     ///< batch-norm running mean and variance, exponents of Pow
  std::vector<Step> steps_;
  std::size_t value_count_ = 0;
  std::size_t output_value_ = 0;
  bool channels_last_ = false;
};

}  // namespace bitwright
