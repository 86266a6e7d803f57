// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/model.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright::apps {

/// Help text of the MODEL argument, the same for every verb.
inline constexpr const char* kModelHelp = "net.bw, net.onnx, zoo:NAME or zoo:NAME@weights.safetensors";

/// What one weight costs.
struct WeightFacts {
  std::string name;
  std::string format;  ///< spec of its number format, or `float32`
  Shape shape;
  std::int64_t elements = 0;
  std::int64_t code_bytes = 0;
  std::int64_t parameter_bytes = 0;
  /// Of a quantized weight: Shannon entropy of its codes in bits per code, and bits of one canonical Huffman code with its table.
  std::optional<double> entropy_bits_per_code;
  std::optional<std::int64_t> huffman_bits;
};

/// What a model costs in its packed file. Every byte of the file is in `weights` or in `overhead_bytes`.
struct ModelFacts {
  std::vector<WeightFacts> weights;
  std::int64_t parameters = 0;  ///< trainable values
  std::int64_t elements = 0;    ///< all stored values, batch-norm statistics included
  std::int64_t quantized_elements = 0;
  std::int64_t file_bytes = 0;
  std::int64_t overhead_bytes = 0;       ///< header, graph, directory, padding, checksums
  std::int64_t float_bytes = 0;          ///< 4 bytes for each stored value
  double bits_per_weight = 0.0;          ///< codes and parameters over the quantized weights; 32 when there are none
  double bits_per_weight_overall = 0.0;  ///< the whole file over all stored values
  double entropy_bits_per_weight = 0.0;  ///< mean entropy over the quantized weights; 0 when there are none
  double entropy_bound_bytes = 0.0;      ///< the file, were every code tensor coded at its entropy
  double huffman_bytes = 0.0;            ///< the file, were every code tensor Huffman coded
};

/// Measures a model. `file_bytes`: size of its packed file.
[[nodiscard]] ModelFacts measure_model(const Model& model, std::int64_t file_bytes);

/// Bytes of the packed file: on disk when `source` is a packed file, else what packing would give.
[[nodiscard]] std::int64_t packed_file_bytes(std::string_view source, const Model& model);

/// Refuses a network for images of another shape. `input`: shape of one image as the network takes it; `data_name`: what brings the images.
/// Throws: `Error(usage)` naming both shapes.
void require_fit(std::string_view source, const Shape& input, std::string_view data_name, const Shape& image_shape);

/// True when MODEL names a packed file rather than a zoo network or an ONNX file.
[[nodiscard]] bool is_packed_source(std::string_view source);

}  // namespace bitwright::apps
