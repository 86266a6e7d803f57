// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/rng.h"
#include "bitwright/kernels/isa.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace bitwright {

/// Products, convolutions and their gradients on fixed-point codes, exact in integers (Gupta 2015, G9), and the one rounding that follows.
///
/// Everything here is `noexcept`, runs on the calling thread, works on the slice it is given and allocates nothing: callers share slices
/// among threads and pass scratch memory. Results are the same bit for bit on every instruction set and for every division into slices.
///
/// How it stays exact. Operand a has codes of a_bits bits in int16, operand b of b_bits bits (up to 24). Every b is cut into `count`
/// signed digits of w = `bits` bits, b = sum over d of digit(d) * 2^(w d), with |digit| <= 2^(w-1). One step of the inner loop adds two
/// products a * digit to a lane of int32, at most 2 * 2^(a_bits-1) * 2^(w-1) = 2^(a_bits+w-1) in magnitude, so that
///     max_pairs = 2^(32-a_bits-w) - 1
/// steps cannot overflow: max_pairs * 2^(a_bits+w-1) = 2^31 - 2^(a_bits+w-1) < 2^31. Then the lane is widened, shifted by w d and added to
/// an int64. 16 x 16 bits take 2 digits and 255 steps, 16 x 20 bits 2 digits and 63 steps, 16 x 24 bits 3 digits and 255 steps, 8 x 8
/// bits 1 digit and 65535 steps: all of the sum in int32. The int64 needs a_bits + b_bits - 2 + log2(depth) < 62 bits (G10).
struct FixedDigits {
  int count = 1;               ///< digits per element of b, 1 to 3
  int bits = 16;               ///< w
  std::int64_t max_pairs = 1;  ///< steps of two products that an int32 holds
  friend bool operator==(const FixedDigits&, const FixedDigits&) = default;
};
/// The fewest digits with which the int32 holds at least 31 steps. Requires: 2 <= a_bits <= 16, 2 <= b_bits <= 24.
[[nodiscard]] FixedDigits fixed_digits(int a_bits, int b_bits) noexcept;

/// Codes in int16 or int32, whichever is not null.
struct FixedCodes {
  const std::int16_t* narrow = nullptr;
  const std::int32_t* wide = nullptr;
  [[nodiscard]] std::int32_t at(std::int64_t i) const noexcept { return narrow != nullptr ? narrow[i] : wide[i]; }
};

/// Columns of b that lie together in packed form; slices of columns begin at multiples of it.
inline constexpr std::int64_t kFixedPanelColumns = 32;

/// Operand b of a product as the kernels read it.
/// Stored: digit d of b(column, k) at ((panel * pairs + k / 2) * count + d) * 64 + (column % 32) * 2 + k % 2, panel = column / 32,
/// pairs = depth / 2 rounded up; zeros where column or k is beyond the end.
[[nodiscard]] std::int64_t fixed_packed_count(std::int64_t columns, std::int64_t depth, const FixedDigits& digits) noexcept;

/// Memory for packed operands. It begins at a cache line; operands that do not are read as correctly, but an eighth slower.
class FixedPacked {
 public:
  explicit FixedPacked(std::int64_t count) : lines_(std::make_unique<Line[]>(static_cast<std::size_t>((count + 31) / 32))) {}
  [[nodiscard]] std::int16_t* data() noexcept { return lines_[0].codes; }
  [[nodiscard]] const std::int16_t* data() const noexcept { return lines_[0].codes; }

 private:
  struct alignas(64) Line {
    std::int16_t codes[32];
  };
  std::unique_ptr<Line[]> lines_;
};

// --- rounding -----------------------------------------------------------------------------------------------------------------------

enum class FixedRounding : std::uint8_t {
  nearest_down,  ///< (G11): ties toward minus infinity
  stochastic,    ///< (G12)
};

/// How exact accumulators become codes.
struct FixedFormatChange {
  int shift = 0;       ///< k = fraction bits of the accumulator - fraction bits of the code; -31 to 62
  int word_bits = 16;  ///< of the code, 2 to 16
  FixedRounding rounding = FixedRounding::nearest_down;
  const Rng* rng = nullptr;  ///< needed by `stochastic`
  int random_bits = 62;      ///< of a draw: fewer than the shift drops is (G13); below the shift, 1 to 32
};

/// Accumulators in a row, and where their codes go.
/// Equation: dst(i) = clamp(round(acc(i) * 2^-shift)), (G11) or (G12) with the draw of element first_index + i, then (G8).
/// Draws: R = Rng::word(index) >> (32 - k) for k <= 32; R = Rng::word_pair(index) >> (64 - k) for 32 < k <= 62; with random_bits r < k,
/// R = (Rng::word(index) >> (32 - r)) * 2^(k-r) (G13). One draw per element, so the bits do not depend on slices; they are those of
/// `convert_acc` and `convert_acc_with_random_bits` of formats.
/// Requires: |acc| < 2^62. Exactness: bit for bit.
struct FixedRoundCall {
  const std::int64_t* acc = nullptr;
  std::int64_t count = 0;
  std::uint64_t first_index = 0;  ///< of acc[0] in the whole tensor
  FixedFormatChange change = {};
  std::int16_t* dst = nullptr;
};

struct FixedPointKernel;

/// Returns how many codes (G8) moved: those whose rounded value was outside the format.
std::int64_t fixed_round(const FixedPointKernel& kernel, const FixedRoundCall& call) noexcept;
/// The equation by the book; never optimised.
std::int64_t fixed_round_reference(const FixedRoundCall& call) noexcept;

/// What follows the exact sum of an output element: acc + bias, sign, rounding.
struct FixedEpilogue {
  const std::int64_t* bias = nullptr;  ///< per output channel (column), aligned to the accumulator's fraction bits; null = 0
  enum class Activation : std::uint8_t { none, relu } activation = Activation::none;  ///< relu: max(acc + bias, 0), exact
  FixedFormatChange change = {};
};

/// Where results go; elements are numbered as in the whole tensor.
struct FixedResults {
  std::int16_t* codes = nullptr;     ///< of element 0 of the slice
  std::uint8_t* positive = nullptr;  ///< 1 where acc + bias > 0, else 0 (a Boolean tensor); null = not wanted
  std::uint64_t first_index = 0;     ///< number of codes[0] in the whole tensor
};

// --- products -----------------------------------------------------------------------------------------------------------------------

/// b(column, k) = codes.at(column * column_stride + k * depth_stride).
struct FixedPackCall {
  FixedCodes codes = {};
  std::int64_t columns = 0;
  std::int64_t column_stride = 0;
  std::int64_t depth = 0;
  std::int64_t depth_stride = 1;
  FixedDigits digits = {};
  std::int16_t* dst = nullptr;  ///< fixed_packed_count(columns, depth, digits) elements
};
void fixed_pack(const FixedPointKernel& kernel, const FixedPackCall& call) noexcept;

/// Equation: for r in [0, rows), c in [first_column, last_column): acc(r, c) = sum over k in [0, depth) of a(r, k) * b(c, k),
/// a(r, k) = a[r * a_stride + k]. Requires: first_column is a multiple of kFixedPanelColumns; the codes fit the bits that `digits` was
/// made for.
struct FixedProductCall {
  const std::int16_t* a = nullptr;
  std::int64_t a_stride = 0;
  std::int64_t rows = 0;
  const std::int16_t* packed = nullptr;  ///< of all columns
  std::int64_t columns = 0;              ///< of b as packed
  std::int64_t depth = 0;
  FixedDigits digits = {};
  std::int64_t first_column = 0;
  std::int64_t last_column = 0;
};

/// dst[r * dst_stride + c] += acc(r, c). Other elements are left alone.
void fixed_product(const FixedPointKernel& kernel, const FixedProductCall& call, std::int64_t* dst, std::int64_t dst_stride) noexcept;
void fixed_product_reference(const FixedProductCall& call, const FixedCodes& b, std::int64_t column_stride, std::int64_t depth_stride,
                             std::int64_t* dst, std::int64_t dst_stride) noexcept;

/// A fully connected layer: codes[r * columns + c] = epilogue(acc(r, c)), element number first_index + r * columns + c.
/// Returns the number of saturated elements. `scratch` has fixed_dense_scratch_bytes(columns) bytes, aligned to 64.
/// For the error of the inputs pack b(c, k) = W(k, c): column_stride 1, depth_stride = inputs.
std::int64_t fixed_dense(const FixedPointKernel& kernel, const FixedProductCall& call, const FixedEpilogue& epilogue,
                         const FixedResults& results, std::byte* scratch) noexcept;
[[nodiscard]] std::int64_t fixed_dense_scratch_bytes(std::int64_t columns) noexcept;
std::int64_t fixed_dense_reference(const FixedProductCall& call, const FixedCodes& b, std::int64_t column_stride, std::int64_t depth_stride,
                                   const FixedEpilogue& epilogue, const FixedResults& results) noexcept;

// --- convolutions -------------------------------------------------------------------------------------------------------------------

/// Equation: acc(n, o, y, x) = sum over c, i, j of weight(o, c, i, j) * image(n, c, y * stride_y + i * dilation_y - pad_top,
///                                                                                x * stride_x + j * dilation_x - pad_left)
/// with image(n, c, y * spread_y, x * spread_x) = src(n, c, y, x) and 0 elsewhere. Layers have spread 1; the convolution that computes
/// the error of a strided layer's inputs spreads the errors of its outputs. Padding at the bottom and right follows from the extents.
/// Groups: one call per group, with its channels of src, weights and dst (the image strides are those of all channels).
struct FixedConvShape {
  std::int64_t channels = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t outputs = 0;
  std::int64_t kernel_height = 1;
  std::int64_t kernel_width = 1;
  std::int64_t stride_y = 1;
  std::int64_t stride_x = 1;
  std::int64_t dilation_y = 1;
  std::int64_t dilation_x = 1;
  std::int64_t pad_top = 0;
  std::int64_t pad_left = 0;
  std::int64_t out_height = 0;
  std::int64_t out_width = 0;
  std::int64_t spread_y = 1;
  std::int64_t spread_x = 1;

  /// Runs of neighbours in memory of which a sum is made, and their length, even.
  [[nodiscard]] std::int64_t segments() const noexcept { return dilation_x == 1 ? kernel_height : kernel_height * kernel_width; }
  [[nodiscard]] std::int64_t segment_length() const noexcept { return ((dilation_x == 1 ? kernel_width : 1) * channels + 1) / 2 * 2; }
  [[nodiscard]] std::int64_t depth() const noexcept { return channels * kernel_height * kernel_width; }
  friend bool operator==(const FixedConvShape&, const FixedConvShape&) = default;
};

/// The convolution of errors [n, outputs, out_height, out_width] with turned weights that gives the errors of a layer's inputs
/// [n, channels, height, width]. Requires: spread 1 in `layer`.
[[nodiscard]] FixedConvShape fixed_input_error_shape(const FixedConvShape& layer) noexcept;

enum class FixedConvWeights : std::uint8_t {
  forward,      ///< for the layer itself
  input_error,  ///< turned and transposed, for fixed_input_error_shape(layer)
};
/// int16 elements of packed weights of the convolution that will run (`shape` = the layer's, or fixed_input_error_shape of it).
[[nodiscard]] std::int64_t fixed_packed_conv_count(const FixedConvShape& shape, const FixedDigits& digits) noexcept;
/// Weights OIHW of `layer`, dense, to packed form.
void fixed_pack_conv(const FixedConvShape& layer, FixedConvWeights use, const FixedCodes& weights, const FixedDigits& digits,
                     std::int16_t* dst) noexcept;

/// Images [0, images), output rows [first_row, last_row), all outputs. Pointers are to the first image of the slice.
struct FixedConvCall {
  FixedConvShape shape = {};
  const std::int16_t* src = nullptr;  ///< NCHW, planes dense
  std::int64_t src_image_stride = 0;  ///< elements from image to image
  std::int64_t images = 1;
  std::int64_t first_row = 0;
  std::int64_t last_row = 0;             ///< out_height for whole images
  const std::int16_t* packed = nullptr;  ///< weights, of fixed_pack_conv
  FixedDigits digits = {};               ///< of fixed_digits(bits of src, bits of weights)
  std::byte* scratch = nullptr;          ///< fixed_convolve_scratch_bytes(shape) bytes, aligned to 64
};
/// codes[n * dst_image_stride + (o * out_height + y) * out_width + x] = epilogue(acc(n, o, y, x)), numbered likewise from first_index
/// (results.codes is at row 0 of image 0 of the slice, whatever first_row is). Returns the number of saturated elements.
std::int64_t fixed_convolve(const FixedPointKernel& kernel, const FixedConvCall& call, const FixedEpilogue& epilogue,
                            const FixedResults& results, std::int64_t dst_image_stride) noexcept;
[[nodiscard]] std::int64_t fixed_convolve_scratch_bytes(const FixedConvShape& shape) noexcept;
/// By plain loops, from weights as `fixed_pack_conv` takes them: `layer` and `use` as there, call.shape as for fixed_convolve;
/// call.packed, digits and scratch are not used.
std::int64_t fixed_convolve_reference(const FixedConvCall& call, const FixedConvShape& layer, FixedConvWeights use,
                                      const FixedCodes& weights, const FixedEpilogue& epilogue, const FixedResults& results,
                                      std::int64_t dst_image_stride) noexcept;

/// The gradient of a layer's weights, exact.
/// Equation: dst(o, c, i, j) += sum over n, y, x of error(n, o, y, x) * image(n, c, y * stride_y + i * dilation_y - pad_top,
///                                                                             x * stride_x + j * dilation_x - pad_left).
struct FixedWeightGradientCall {
  FixedConvShape layer = {};          ///< spread 1
  const std::int16_t* src = nullptr;  ///< the layer's inputs, NCHW
  std::int64_t src_image_stride = 0;
  const std::int16_t* errors = nullptr;  ///< of its outputs, NCHW
  std::int64_t error_image_stride = 0;
  std::int64_t images = 1;
  FixedDigits digits = {};       ///< of fixed_digits(bits of errors, bits of src); errors are a, inputs b
  std::int64_t* dst = nullptr;   ///< OIHW, dense; added to (threads use one each and add them up: sums are exact in any order)
  std::byte* scratch = nullptr;  ///< fixed_weight_gradient_scratch_bytes(layer, digits) bytes, aligned to 64
};
void fixed_weight_gradient(const FixedPointKernel& kernel, const FixedWeightGradientCall& call) noexcept;
[[nodiscard]] std::int64_t fixed_weight_gradient_scratch_bytes(const FixedConvShape& layer, const FixedDigits& digits) noexcept;
void fixed_weight_gradient_reference(const FixedWeightGradientCall& call) noexcept;

/// dst[c * rows + r] = src[r * src_stride + c]: what the gradient of a fully connected layer's weights needs of its errors, because
/// `fixed_product` sums along rows of a.
void fixed_transpose(const std::int16_t* src, std::int64_t rows, std::int64_t columns, std::int64_t src_stride, std::int16_t* dst) noexcept;

// --- kernels ------------------------------------------------------------------------------------------------------------------------

struct FixedTileCall;
struct FixedSplitCall;
struct FixedFinishCall;

/// What an instruction set brings (functions.h says what each does); the functions above drive it.
struct FixedPointKernel {
  Isa isa;
  std::string_view name;  ///< e.g. `fixed_point:avx512`
  void (*tile)(const FixedTileCall& call) noexcept;
  void (*split)(const FixedSplitCall& call) noexcept;
  std::int64_t (*finish)(const FixedFinishCall& call) noexcept;
};

/// All kernels of this build, slowest first.
[[nodiscard]] std::span<const FixedPointKernel> fixed_point_kernels() noexcept;
/// The fastest kernel that may run on `isa`; there always is one.
[[nodiscard]] const FixedPointKernel& select_fixed_point(Isa isa) noexcept;

}  // namespace bitwright
