// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/model.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

/// How an ONNX file holds quantized weights.
enum class OnnxForm {
  float32,   ///< `float`: values as float32
  qdq,       ///< `qdq`: integers of 4 to 32 bits behind DequantizeLinear
  codebook,  ///< `codebook`: packed codes at their true width, unpacked and looked up by standard operators
};

/// Reads `float`, `qdq` or `codebook`. Throws: `Error(usage)`.
[[nodiscard]] OnnxForm parse_onnx_form(std::string_view text);
[[nodiscard]] std::string_view onnx_form_name(OnnxForm form) noexcept;

/// How far a weight of the file lies from the model's.
struct WeightLoss {
  std::string weight;
  double largest_error = 0.0;      ///< |file - model|
  double largest_magnitude = 0.0;  ///< of the model's values
  /// More than what float32 arithmetic rounds: 4 units in the last place of the largest magnitude.
  [[nodiscard]] bool is_beyond_rounding() const noexcept;
};

/// What an export gives up.
struct OnnxExport {
  std::vector<std::byte> file;
  std::vector<WeightLoss> losses;  ///< weights that are not exactly the model's, in the model's order
  bool loses_fixed_point = false;  ///< a fixed-point model: the file computes activations in float32, without their rounding

  /// `nothing`, or what is lost, e.g. `at most 0.0031 in weight "fc1.weight" (3 weights differ)`.
  [[nodiscard]] std::string loss_text() const;
};

enum class LossPolicy { refuse, allow };

/// Writes a model as ONNX (docs/onnx.md): operator set 17, later where an operator or a type needs it. Canonical: same model and form, same
/// bytes; importing the file and exporting it again gives the same bytes.
/// Exactness: `float` and `codebook` compute every weight bit for bit; `qdq` as `losses` says.
/// Throws: `Error(unsupported)` when more than rounding would be lost and the policy refuses that; `Error(invalid_input)` for an invalid
/// model.
[[nodiscard]] OnnxExport export_onnx(const Model& model, OnnxForm form, LossPolicy policy = LossPolicy::refuse);

}  // namespace bitwright
