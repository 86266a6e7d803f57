// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/formats/quantized_tensor.h"
#include "bitwright/onnx/export.h"
#include "bitwright/onnx/proto.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace bitwright::onnx {

/// Nodes and constants that compute one quantized weight in an ONNX graph; the last node's output is the weight's name.
struct WeightGraph {
  std::vector<NodeProto> nodes;
  std::vector<TensorProto> initializers;
  std::set<std::string> shared;  ///< constants that all weights share, by name (`shared_constant`)
  std::int64_t opset = 17;
  std::vector<float> values;  ///< what the nodes compute
  /// How to read the weight back, e.g. `codebook ternary`; empty where the nodes say everything. Kept in the file's metadata.
  std::string note;
};

/// Name of the metadata entry that holds a weight's note.
inline constexpr std::string_view kWeightNotePrefix = "bitwright.weight.";

/// `codebook` form. Exactness: bit for bit the format's own decoding.
[[nodiscard]] WeightGraph codebook_graph(const std::string& name, const QuantizedTensor& tensor);

/// `qdq` form: exact for `fixed`, `pow2` up to 6 bits, `ternary` with equal scales and codebooks of integers; `uniform` within rounding;
/// anything else as nearest int8 with a scale per output.
[[nodiscard]] WeightGraph qdq_graph(const std::string& name, const QuantizedTensor& tensor);

/// A constant of `WeightGraph::shared`.
[[nodiscard]] TensorProto shared_constant(const std::string& name);

/// The weight that `codebook_graph` or `qdq_graph` wrote with this note; nothing when the constants do not belong to it.
/// `find`: an initializer of the file by name, or nullptr. `shape`: extents of the weight.
[[nodiscard]] std::optional<QuantizedTensor> read_weight_graph(const std::string& name, const std::string& note,
                                                               const std::function<const TensorProto*(const std::string&)>& find);

// Constants of a graph.
[[nodiscard]] TensorProto float_tensor(std::string name, std::vector<std::int64_t> dims, std::span<const float> values);
[[nodiscard]] TensorProto int64_tensor(std::string name, std::vector<std::int64_t> dims, std::span<const std::int64_t> values);
/// Integers in the type's raw form. Requires: every value fits.
[[nodiscard]] TensorProto integer_tensor(std::string name, DataType type, std::vector<std::int64_t> dims,
                                         std::span<const std::int64_t> values);

[[nodiscard]] AttributeProto int_attribute(std::string name, std::int64_t value);
[[nodiscard]] AttributeProto ints_attribute(std::string name, std::vector<std::int64_t> values);
[[nodiscard]] AttributeProto float_attribute(std::string name, float value);
[[nodiscard]] AttributeProto text_attribute(std::string name, std::string value);

}  // namespace bitwright::onnx
