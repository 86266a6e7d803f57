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

/// Matrix times few vectors of floats, the matrix held as codes of 1 to 8 bits: for batches so small that reading the weights is what
/// takes the time.
///
/// Equation: for all n in [0, batch), j in [0, outputs):
///     y(n, j) = bias(j) + sum over i in [0, inputs) of weight(j, i) * x(n, i)
///     weight(j, i) = value(code(j, i)), or with buckets min(bucket) + scale(bucket) * value(code(j, i)), both operations rounded to
///     float32: exactly what the number formats decode.
///
/// Few levels (2 to 5, without buckets) are joined: `tuple` = T neighbouring inputs share one joint code,
///     joint(j, t) = sum over k in [0, T) of code(j, T t + k) * levels^k,       levels^T <= 32,
/// and for every T inputs all sums of T products are computed once, before the matrix is read:
///     term(n, t, e) = sum over k of value(digit k of e) * x(n, T t + k).
/// One table lookup then stands for T products. Otherwise T = 1, joint = code and term(n, t, e) = value(e) * x(n, t).
///
/// Stored: the tuples are cut into tiles of `tile_tuples`; with u = t % tile_tuples and b = code_bits, joint(j, t) takes the bits
/// [b (u % 32), b (u % 32) + b) of a string of 32 b bits, in the words line((tile * blocks + j / 16) * lines_per_tile + u / 32 * b + w)
/// .lane[j % 16], w = 0 .. b - 1: exactly b bits for T weights, padded to 32 tuples and 16 outputs only.
///
/// Order of summation: for each tile two partial sums per output, over even and over odd u, each in ascending u, the even one beginning
/// with the result of the tile before; their sum is that tile's result; the bias is added last. Within a term k ascends and products and
/// sums are rounded apart. It is the same on every instruction set and for every batch, so y(n, j) does not depend on the other images.
/// Exactness: within gamma(inputs + 1) * (|bias(j)| + sum |weight * x|) of the real result (docs/runtime.md, R5). With joint codes, and
/// where every product is exact (powers of two, no underflow), all instruction sets agree to the bit; elsewhere those with a fused
/// multiply-add round less often.

/// Joint codes of 16 outputs: one 32-bit word of the bit string per output.
struct alignas(64) GemvPackedLine {
  std::array<std::uint32_t, 16> lane;
};
static_assert(sizeof(GemvPackedLine) == 64);

inline constexpr std::int64_t kGemvPackedBlockOutputs = 16;
inline constexpr std::int64_t kGemvPackedGroup = 32;  ///< tuples whose codes fill whole words
inline constexpr int kGemvPackedMaxLevels = 256;
inline constexpr int kGemvPackedMaxBatch = 8;
/// Beyond it a value does not fit the registers that a table is kept in, and is gathered from memory: several times slower.
inline constexpr int kGemvPackedRegisterLevels = 32;
/// Inputs between the boundaries of buckets that a row must have at least.
inline constexpr std::int64_t kGemvPackedLeastSegment = 32;

/// What the kernels know of the values.
struct alignas(64) GemvPackedTable {
  /// By code, repeated with period 2^code_bits, so that a lookup may use any 8 bits whose lowest ones are the code.
  std::array<float, kGemvPackedMaxLevels> value;
  /// digit[k][e] = value(digit k of joint code e); zeros where e is no joint code. Only with T > 1.
  std::array<std::array<float, 32>, 5> digit;
};

/// Scale and minimum of 16 outputs in one tile.
struct alignas(64) GemvPackedScales {
  std::array<float, 16> scale;
  std::array<float, 16> min;
};

/// The matrix as the kernels see it.
struct GemvPackedView {
  const GemvPackedLine* lines = nullptr;
  const GemvPackedTable* table = nullptr;
  const GemvPackedScales* scales = nullptr;  ///< of (tile, block) at tile * blocks + block; null without buckets
  std::int64_t inputs = 0;
  std::int64_t outputs = 0;
  std::int64_t blocks = 0;
  std::int64_t tiles = 0;
  std::int64_t tile_tuples = 0;
  std::int64_t lines_per_tile = 0;
  int levels = 0;
  int tuple = 1;      ///< T
  int code_bits = 0;  ///< b
};

/// x(n, i) = values[n * stride + i].
struct GemvActivations {
  const float* values = nullptr;
  std::int64_t batch = 0;  ///< 1 to kGemvPackedMaxBatch
  std::int64_t stride = 0;
};

/// y(n, j) = values[n * stride + j].
struct GemvResults {
  float* values = nullptr;
  std::int64_t stride = 0;
};

/// Blocks of 16 outputs, for sharing one product among threads.
struct GemvBlockRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

/// Computes y for the outputs of some blocks; writes no others. `bias` has `outputs` elements, or is null for none.
using GemvPackedFunction = void (*)(const GemvPackedView& weights, const float* bias, const GemvActivations& x, const GemvResults& y,
                                    GemvBlockRange blocks) noexcept;

/// Buckets of a row-major matrix: element e belongs to bucket e / size. No scales means that there are none.
struct GemvBuckets {
  std::int64_t size = 0;
  std::span<const float> scales;
  std::span<const float> mins;
};

/// Inputs of a row between boundaries of buckets: the longest run that never crosses one in any row.
[[nodiscard]] std::int64_t gemv_packed_segment(std::int64_t outputs, std::int64_t inputs, std::int64_t bucket_size) noexcept;

/// A matrix repacked for these kernels.
class GemvPackedWeights {
 public:
  /// Repacks row-major codes [outputs, inputs].
  /// Requires: 1 <= values.size() <= 256; codes in [0, values.size()); with buckets, gemv_packed_segment at least
  /// kGemvPackedLeastSegment or a whole row. Throws: `Error(invalid_input)` otherwise.
  GemvPackedWeights(std::span<const std::uint8_t> codes, std::int64_t outputs, std::int64_t inputs, std::span<const float> values,
                    const GemvBuckets& buckets = {});

  [[nodiscard]] GemvPackedView view() const noexcept;
  [[nodiscard]] std::int64_t block_count() const noexcept { return view_.blocks; }
  /// Bytes that one product reads for the matrix: codes, padding to whole groups and blocks, and scales of buckets.
  [[nodiscard]] std::int64_t bytes() const noexcept {
    return static_cast<std::int64_t>(lines_.size() * sizeof(GemvPackedLine) + scales_.size() * sizeof(GemvPackedScales));
  }
  [[nodiscard]] int code_bits() const noexcept { return view_.code_bits; }
  [[nodiscard]] int tuple() const noexcept { return view_.tuple; }

 private:
  void pack_codes(std::span<const std::uint8_t> codes);
  void fill_table(std::span<const float> values);
  void fill_scales(const GemvBuckets& buckets);

  GemvPackedView view_;  // its pointers are set by view()
  std::vector<GemvPackedLine, HugeAllocator<GemvPackedLine>> lines_;
  std::vector<GemvPackedTable> table_;  // one; on the heap so that views outlive a move
  std::vector<GemvPackedScales> scales_;
};

/// How many inputs share a joint code: 5, 3, 2, 2 for 2 to 5 levels without buckets, else 1.
[[nodiscard]] constexpr int gemv_packed_tuple(std::int64_t levels) noexcept {
  return levels <= 2 ? 5 : levels == 3 ? 3 : levels <= 5 ? 2 : 1;
}

struct GemvPackedKernel {
  Isa isa;
  std::string_view name;  ///< e.g. `gemv_packed:avx512`
  GemvPackedFunction function;
};

/// All kernels of this build, slowest first.
[[nodiscard]] std::span<const GemvPackedKernel> gemv_packed_kernels() noexcept;

/// What a caller wants to multiply.
struct GemvPackedQuery {
  std::int64_t batch = 1;
  std::int64_t levels = 0;   ///< different codes
  std::int64_t segment = 0;  ///< gemv_packed_segment of a weight with buckets; `inputs` or 0 where every row has one bucket
  std::int64_t inputs = 0;
};

/// The fastest kernel that may run on `isa`, and why faster ones, or all of them, refused.
struct GemvPackedChoice {
  const GemvPackedKernel* kernel = nullptr;  ///< null when all refused
  std::vector<std::string> refusals;         ///< e.g. `gemv_packed: batch is 128, this kernel needs <= 8`
};
[[nodiscard]] GemvPackedChoice select_gemv_packed(const GemvPackedQuery& query, Isa isa);

/// The equation above by plain loops in double: what the kernels are tested against; never optimised.
void gemv_packed_reference(const GemvPackedView& weights, const float* bias, const GemvActivations& x, std::span<double> y);
/// weight(j, i) as the layout holds it.
[[nodiscard]] float gemv_packed_weight(const GemvPackedView& weights, std::int64_t output, std::int64_t input) noexcept;

}  // namespace bitwright
