// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/formats/quantized_tensor.h"
#include "bitwright/model/graph.h"

#include <map>
#include <string>
#include <variant>
#include <vector>

namespace bitwright {

/// A float32 tensor, row-major.
struct FloatTensor {
  Shape shape;
  std::vector<float> values;
  friend bool operator==(const FloatTensor&, const FloatTensor&) = default;
};

/// A named weight: float, or exact codes.
using Weight = std::variant<FloatTensor, QuantizedTensor>;

[[nodiscard]] const Shape& weight_shape(const Weight& weight) noexcept;
/// Float values of a weight, dequantized where it holds codes.
[[nodiscard]] std::vector<float> weight_values(const Weight& weight);
/// The same into memory that is there. Requires: dst.size() == weight_shape(weight).element_count().
void copy_weight_values(const Weight& weight, std::span<float> dst);

/// How pixels become the network's input: value = (pixel / 255 - mean[c]) / std[c].
struct InputTransform {
  std::vector<float> mean;  ///< one per channel; empty = 0
  std::vector<float> std;   ///< one per channel; empty = 1
  friend bool operator==(const InputTransform&, const InputTransform&) = default;
};

/// A graph and its weights: the one description of a network that every door reads and writes.
struct Model {
  Graph graph;
  std::map<std::string, Weight, std::less<>> weights;
  InputTransform input_transform;
  std::vector<std::string> class_names;                   ///< may be empty
  std::map<std::string, std::string, std::less<>> notes;  ///< free text, e.g. `method` = `inq`; never needed to run

  friend bool operator==(const Model&, const Model&) = default;
};

[[nodiscard]] ShapeMap weight_shapes(const Model& model);

/// Checks that the graph is well formed, shapes fit, every weight is read, every float is finite and every name is printable UTF-8.
/// Throws: `Error(invalid_input)`: e.g. `lenet5: weight "conv1.weight" does not fit node "conv1" (found [20, 3, 5, 5], need [?, 1, 5, 5]);
/// give weights trained for this graph.`
void validate(const Model& model);

/// Names of the weights that methods may quantize (input 1 of Conv and Gemm, and of MatMul where it is stored), in graph order.
[[nodiscard]] std::vector<std::string> quantizable_weights(const Graph& graph);

}  // namespace bitwright
