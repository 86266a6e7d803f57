// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/huge_block.h"
#include "bitwright/kernels/isa.h"

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

/// Matrix times few vectors of 8-bit activations, the matrix held as codes of 1 to 6 bits or as ternary digits, summed exactly.
///
/// Equation: for all n in [0, batch), p in [0, planes), j in [0, outputs):
///     sums(n, p, j) = sum over i in [0, inputs) of level(p, code(j, i)) * (x(n, i) - zero_point)
///     y(n, j) = bias(j) + scale(j) * sum over p of plane_scale(p) * sums(n, p, j)                                  (gemv_int8_finish)
/// A plane is a table of small integers, so that a value table = sum of plane_scale * level is met exactly: {Wp, 0, -Wn} by two planes
/// {1, 0, 0} and {0, 0, -1}, or by one where Wp = Wn; powers of two up to +-64 by one plane and up to +-4096 by two (gemv_int8_planes).
///
/// Exactness: sums are integers and equal the reference bit for bit on every instruction set, for every batch and division of the
/// blocks. Two rules make it so. No pair of products overflows the int16 in which processors without VNNI add them: activations are 0 to
/// 255 and |level| <= 64, so 2 * 255 * 64 = 32640 < 2^15. No sum overflows int32: inputs * 255 * 64 < 2^31, so inputs <= 131072.
///
/// Stored, 1 to 6 bits: blocks of 16 outputs, groups of 32 inputs, `code_bits` lines a group. A code is cut into a low part of 4, 2 or 1
/// bits and, for 3, 5 and 6 bits, a high part of 1, 1 and 2 bits. In the w lines of a part of w bits, byte 4 (j % 16) + i % 4 of line
/// (i % 32) / 4 / (8 / w) has code(j, i) at bit w * ((i % 32) / 4 % (8 / w)); the lines of the low part stand first.
/// Stored, ternary digits: 1.6 bits a weight. One line per 20 inputs: byte 4 (j % 16) + i % 4 holds the five codes c_d of the inputs with
/// d = i % 20 / 4 as 84 c_0 + 28 c_1 + 9 c_2 + 3 c_3 + c_4. 84 and 28 instead of 81 and 27 waste nothing, since 250 still fits a byte, and
/// are multiples of 4: the upper six bits alone tell c_0 and c_1, and what is left is below 27, so every digit is one lookup in 64 bytes.

struct alignas(64) GemvInt8Line {
  std::array<std::uint8_t, 64> byte;
};
static_assert(sizeof(GemvInt8Line) == 64);

inline constexpr std::int64_t kGemvInt8BlockOutputs = 16;
inline constexpr std::int64_t kGemvInt8MaxBatch = 8;
inline constexpr std::int64_t kGemvInt8MaxInputs = 131072;
inline constexpr int kGemvInt8MaxLevels = 64;
inline constexpr int kGemvInt8MaxLevel = 64;
inline constexpr int kGemvInt8MaxPlanes = 2;

enum class GemvInt8Layout : std::uint8_t {
  bits,    ///< 1 to 6 bits a weight: fastest
  digits,  ///< three levels at 1.6 bits a weight: least memory; slow where bytes cannot be looked up in tables of 64
};

/// level(p, code) by code, and what an integer of plane p is worth.
struct GemvInt8Plane {
  std::vector<std::int8_t> levels;
  float scale = 1.0F;
};

/// Levels of a plane as the kernels read them: repeated with period 2^code_bits (digits: 4), so that a lookup may use any 6 bits.
struct alignas(64) GemvInt8Table {
  std::array<std::int8_t, 64> level;
};

/// The matrix as the kernels see it. Lines of block k begin at lines + k * lines_per_block.
struct GemvInt8View {
  const GemvInt8Line* lines = nullptr;
  const GemvInt8Table* tables = nullptr;  ///< one per plane
  /// Only for digits: 84 c_0 + 28 c_1 by the upper six bits of a byte; then for each plane the levels of c_0 and c_1 by the same bits and
  /// of c_2, c_3 and c_4 by what is left of the byte.
  const GemvInt8Table* digit_tables = nullptr;
  const std::int32_t* level_sums = nullptr;  ///< of plane p and output j, sum over i of level(p, code(j, i)), at p * outputs + j
  std::int64_t lines_per_block = 0;
  std::int64_t inputs = 0;
  std::int64_t outputs = 0;
  int planes = 1;
  int code_bits = 2;
  GemvInt8Layout layout = GemvInt8Layout::bits;
};

/// Activations of `batch` images, each in gemv_int8_padded(inputs) bytes, those beyond `inputs` zero.
struct GemvInt8Activations {
  const std::uint8_t* values = nullptr;
  std::int64_t batch = 0;       ///< 1 to kGemvInt8MaxBatch
  std::int64_t stride = 0;      ///< bytes from one image to the next, at least gemv_int8_padded(inputs)
  std::int32_t zero_point = 0;  ///< 0 to 255
};
/// Bytes of activations that the kernels read.
[[nodiscard]] constexpr std::int64_t gemv_int8_padded(std::int64_t inputs) noexcept { return (inputs + 159) / 160 * 160; }

/// Blocks of 16 outputs, for sharing one product among threads.
struct GemvInt8BlockRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

/// Computes sums(n, p, j) at sums[(n * planes + p) * outputs + j] for the outputs of some blocks; writes no others.
using GemvInt8Function = void (*)(const GemvInt8View& weights, const GemvInt8Activations& x, std::int32_t* sums,
                                  GemvInt8BlockRange blocks) noexcept;

/// The least planes whose sum is exactly `values`: 1 or 2, or none where two do not reach.
/// Exactness: for every code, values[code] == sum over p of scale(p) * level(p)[code] in real numbers.
[[nodiscard]] std::vector<GemvInt8Plane> gemv_int8_planes(std::span<const float> values);

/// A matrix repacked for these kernels.
class GemvInt8Weights {
 public:
  /// Repacks row-major codes [outputs, inputs].
  /// Requires: 1 or 2 planes of the same 1 to 64 levels, each in [-64, 64]; 3 levels at most for `digits`; codes in [0, levels);
  /// inputs <= kGemvInt8MaxInputs. Throws: `Error(invalid_input)` otherwise.
  GemvInt8Weights(std::span<const std::uint8_t> codes, std::int64_t outputs, std::int64_t inputs, std::span<const GemvInt8Plane> planes,
                  GemvInt8Layout layout);

  [[nodiscard]] GemvInt8View view() const noexcept;
  [[nodiscard]] std::int64_t block_count() const noexcept { return (view_.outputs + kGemvInt8BlockOutputs - 1) / kGemvInt8BlockOutputs; }
  /// Bytes that one product reads for the matrix, padding to whole groups and blocks included.
  [[nodiscard]] std::int64_t bytes() const noexcept { return static_cast<std::int64_t>(lines_.size() * sizeof(GemvInt8Line)); }
  [[nodiscard]] std::span<const float> plane_scales() const noexcept {
    return {plane_scales_.data(), static_cast<std::size_t>(view_.planes)};
  }

 private:
  void pack_bits(std::span<const std::uint8_t> codes);
  void pack_digits(std::span<const std::uint8_t> codes);

  GemvInt8View view_;  // its pointers are set by view()
  std::vector<GemvInt8Line, HugeAllocator<GemvInt8Line>> lines_;
  std::vector<GemvInt8Table> tables_;
  std::vector<GemvInt8Table> digit_tables_;
  std::vector<std::int32_t> level_sums_;
  std::array<float, kGemvInt8MaxPlanes> plane_scales_{1.0F, 1.0F};
};

struct GemvInt8Kernel {
  Isa isa;
  std::string_view name;  ///< e.g. `gemv_int8:avx512_vbmi`
  GemvInt8Function function;
};

/// All kernels of this build, slowest first.
[[nodiscard]] std::span<const GemvInt8Kernel> gemv_int8_kernels() noexcept;

/// What a caller wants to multiply.
struct GemvInt8Query {
  std::int64_t batch = 1;
  std::int64_t inputs = 0;
  std::int64_t levels = 0;  ///< different codes
  std::int64_t planes = 1;  ///< what gemv_int8_planes found; 0 = none
};

/// The fastest kernel that may run on `isa`, and why faster ones, or all of them, refused.
struct GemvInt8Choice {
  const GemvInt8Kernel* kernel = nullptr;  ///< null when all refused
  std::vector<std::string> refusals;
};
[[nodiscard]] GemvInt8Choice select_gemv_int8(const GemvInt8Query& query, Isa isa);

/// What turns sums into floats: y(n, j) = bias(j) + scale(j) * (sum over p, ascending, of plane_scale(p) * sums(n, p, j)).
/// Rounding: each conversion, product and sum once to float32, in this order. `scale` and `bias` have `outputs` elements.
struct GemvInt8Epilogue {
  std::span<const float> plane_scales;
  const float* scale = nullptr;
  const float* bias = nullptr;
};
/// For the outputs [begin, end) of image n.
void gemv_int8_finish(const GemvInt8Epilogue& epilogue, const std::int32_t* sums, std::int64_t outputs, std::int64_t begin,
                      std::int64_t end, float* y) noexcept;

/// code(j, i) as the layout holds it.
[[nodiscard]] std::int32_t gemv_int8_code(const GemvInt8View& weights, std::int64_t output, std::int64_t input) noexcept;
/// The equation above by plain loops in int64: what the kernels are tested against; never optimised.
void gemv_int8_reference(const GemvInt8View& weights, const GemvInt8Activations& x, std::span<std::int32_t> sums);

}  // namespace bitwright
