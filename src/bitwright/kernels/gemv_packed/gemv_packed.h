// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/kernels/isa.h"

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

/// Matrix times few vectors, the matrix held as codes of 1 to 5 bits: for batches so small that reading the weights is what takes the time.
///
/// Equation: for all n in [0, batch), j in [0, outputs):
///     y(n, j) = bias(j) + sum over i in [0, inputs) of table(code(j, i)) * x(n, i)
/// Stored:   code(j, i) = (line(j / 16, i / c).lane[j % 16] >> (b * (i % c))) mod 2^b, with b = code_bits and c = 32 / b rounded down
/// Order of summation: two partial sums per output, over even and over odd i % c, each in ascending i; then (even + odd) + bias. It is the
/// same on every instruction set and for every batch, so y(n, j) does not depend on the other images.
/// Exactness: within gamma(inputs + 1) * (|bias(j)| + sum |table * x|) of the real result (docs/runtime.md). Where every product is exact
/// (tables of powers of two, no underflow) all instruction sets agree to the bit; elsewhere those with a fused multiply-add round less
/// often.

/// Codes of 16 outputs for c consecutive inputs: one 32-bit word per output.
struct alignas(64) GemvPackedLine {
  std::array<std::uint32_t, 16> lane;
};
static_assert(sizeof(GemvPackedLine) == 64);

inline constexpr std::int64_t kGemvPackedBlockOutputs = 16;
inline constexpr int kGemvPackedMaxLevels = 32;
inline constexpr std::int64_t kGemvPackedMaxBatch = 8;

/// Values of the codes, repeated with period 2^code_bits, so that a lookup may use any 5 bits whose lowest ones are the code.
struct alignas(64) GemvPackedTable {
  std::array<float, kGemvPackedMaxLevels> value;
};

/// The matrix as the kernels see it. Lines of block k (outputs 16 k to 16 k + 15) begin at lines + k * lines_per_block.
struct GemvPackedView {
  const GemvPackedLine* lines = nullptr;
  const GemvPackedTable* table = nullptr;
  std::int64_t lines_per_block = 0;
  std::int64_t inputs = 0;
  std::int64_t outputs = 0;
  int code_bits = 0;
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

/// A matrix repacked for these kernels.
class GemvPackedWeights {
 public:
  /// Repacks row-major codes [outputs, inputs], code_bits = the least b with 2^b >= levels.
  /// Requires: 1 <= values.size() <= 32; codes in [0, values.size()). Throws: `Error(invalid_input)` otherwise.
  GemvPackedWeights(std::span<const std::int32_t> codes, std::int64_t outputs, std::int64_t inputs, std::span<const float> values);

  [[nodiscard]] GemvPackedView view() const noexcept;
  [[nodiscard]] std::int64_t block_count() const noexcept;
  /// Bytes that one product reads for the matrix, padding to whole words and blocks included.
  [[nodiscard]] std::int64_t bytes() const noexcept { return static_cast<std::int64_t>(lines_.size() * sizeof(GemvPackedLine)); }
  [[nodiscard]] int code_bits() const noexcept { return code_bits_; }

 private:
  std::vector<GemvPackedLine> lines_;
  std::vector<GemvPackedTable> table_;  // one; on the heap so that views outlive a move
  std::int64_t outputs_;
  std::int64_t inputs_;
  std::int64_t lines_per_block_;
  int code_bits_;
};

/// Codes that share one 32-bit word: 32, 16, 10, 8, 6 for 1 to 5 bits, so a weight takes 1, 2, 3.2, 4 or 5.33 bits of memory.
[[nodiscard]] constexpr std::int64_t gemv_packed_codes_per_word(int code_bits) noexcept { return 32 / code_bits; }

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
  std::int64_t levels = 0;  ///< different codes
  std::int64_t tables = 1;  ///< value tables the matrix needs (buckets)
};

/// The fastest kernel that may run on `isa`, and why faster ones, or all of them, refused.
struct GemvPackedChoice {
  const GemvPackedKernel* kernel = nullptr;  ///< null when all refused
  std::vector<std::string> refusals;         ///< e.g. `gemv_packed: batch is 128, this kernel needs <= 8`
};
[[nodiscard]] GemvPackedChoice select_gemv_packed(const GemvPackedQuery& query, Isa isa);

/// The equation above by plain loops in double: what the kernels are tested against; never optimised.
void gemv_packed_reference(const GemvPackedView& weights, const float* bias, const GemvActivations& x, std::span<double> y);

}  // namespace bitwright
