// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/shape.h"
#include "bitwright/formats/number_format.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace bitwright {

/// Exact codes, their parameters, format and shape: what training hands over, what the packed file stores, what kernels are tested against.
///
/// `FixedPoint` codes are signed two's-complement integers; all other formats use 0 .. code_count-1.
///
/// A tensor that was read from a file keeps its codes packed: 5 bits a weight instead of 32, and nothing is made from them that nobody asks
/// for. Codes never change, so copies of a tensor share them. Safe for several threads that read.
class QuantizedTensor {
 public:
  /// Requires: codes.size() == shape.element_count(); parameters' alternative fits the format. Throws: `Error(invalid_input)` otherwise and
  /// for a code outside the format.
  QuantizedTensor(NumberFormat format, Shape shape, std::vector<std::int32_t> codes, FormatParameters parameters);

  [[nodiscard]] const NumberFormat& format() const noexcept { return format_; }
  [[nodiscard]] const Shape& shape() const noexcept { return shape_; }
  /// All codes, row-major. Cost: the first call on a tensor that was read from a file unpacks them, and they stay; where parts or one pass
  /// do, `copy_codes` and `dequantize_into` take no memory.
  [[nodiscard]] std::span<const std::int32_t> codes() const;
  /// The codes `first` .. `first + dst.size() - 1`. Requires: they exist.
  void copy_codes(std::int64_t first, std::span<std::int32_t> dst) const;
  /// The same in a quarter of the memory. Requires: fits_bytes(code_layout, code_bits) of the format.
  void copy_codes(std::int64_t first, std::span<std::uint8_t> dst) const;
  [[nodiscard]] const FormatParameters& parameters() const noexcept { return parameters_; }

  /// Values of all codes, row-major. Exactness: the format's own formula in float32, no other rounding.
  [[nodiscard]] std::vector<float> dequantize() const;
  void dequantize_into(std::span<float> dst) const;

  /// Index of the first value that is not finite; nothing when all are. Parameters are finite, but scale times level may overflow.
  /// Cost: nothing per element where the tensor has one table of values, else a decoding.
  [[nodiscard]] std::optional<std::int64_t> first_not_finite() const;

  /// Bytes of the packed codes / of the parameters, as the packed file stores them.
  [[nodiscard]] std::vector<std::byte> packed_codes() const;
  [[nodiscard]] std::vector<std::byte> packed_parameters() const;
  /// Rebuilds a tensor from what the two functions above wrote.
  /// The codes are copied, or, where `owner` says who keeps their bytes, left where they are.
  /// Throws: `Error(corrupt_file)` naming `source`: wrong length, a code outside the format, padding bits not zero, parameters not finite.
  [[nodiscard]] static QuantizedTensor unpack(const NumberFormat& format, const Shape& shape, std::span<const std::byte> packed_codes,
                                              std::span<const std::byte> packed_parameters, const std::string& source,
                                              std::shared_ptr<const void> owner = nullptr);

  /// Storage in bits: packed codes / parameters, padding to whole bytes included.
  [[nodiscard]] std::int64_t code_size_bits() const;
  [[nodiscard]] std::int64_t parameter_size_bits() const;

  friend bool operator==(const QuantizedTensor& a, const QuantizedTensor& b);

 private:
  struct Codes;
  /// Of codes and parameters that were found to be those of the format.
  QuantizedTensor(NumberFormat format, Shape shape, FormatParameters parameters, std::shared_ptr<Codes> codes);

  template <typename Code>
  void copy(std::int64_t first, std::span<Code> dst) const;

  NumberFormat format_;
  Shape shape_;
  std::shared_ptr<Codes> codes_;
  FormatParameters parameters_;
};

/// Parameters the format derives from the values (INQ exponents, min/max per bucket, quantile points, ternary scales by T13).
/// Throws: `Error(numerical)` when a value is NaN or infinite (names the index); `FixedPoint`, which saturates, refuses only NaN.
[[nodiscard]] FormatParameters fit(const NumberFormat& format, std::span<const float> values);

/// Codes of the values under given parameters.
/// Rounding: formats that round to a grid (`FixedPoint`, `Uniform`) use `rounding`; `PowerOfTwo`, `Ternary` and `Codebook` have their own
/// rule and ignore it. Throws: `Error(numerical)` on NaN, and on infinity where the format does not saturate.
[[nodiscard]] std::vector<std::int32_t> encode(const NumberFormat& format, const FormatParameters& parameters,
                                               std::span<const float> values, const RoundingContext& rounding);

/// `fit` then `encode`.
[[nodiscard]] QuantizedTensor quantize(const NumberFormat& format, const Shape& shape, std::span<const float> values,
                                       const RoundingContext& rounding = {});

}  // namespace bitwright
