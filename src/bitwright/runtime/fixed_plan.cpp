// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/fixed_plan.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"
#include "bitwright/kernels/fixed_point/fixed_point.h"
#include "bitwright/model/fixed_point_model.h"
#include "bitwright/model/window.h"
#include "bitwright/runtime/ops/plan_ops.h"
#include "bitwright/runtime/ops/product.h"

#include <omp.h>

#include <algorithm>
#include <cmath>

namespace bitwright {
namespace {

// Codes lie in the arena's buffers of float.
std::int16_t* codes_in(float* buffer) noexcept { return reinterpret_cast<std::int16_t*>(buffer); }
std::byte* bytes_in(float* buffer) noexcept { return reinterpret_cast<std::byte*>(buffer); }

std::int64_t aligned_bytes(std::int64_t bytes) noexcept { return (bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment; }

// Calls use(thread, begin, end) for the parts of [0, count), one per thread.
template <typename Use>
void share(int threads, std::int64_t count, Use use) {
  if (threads == 1 || count < 2) return use(0, std::int64_t{0}, count);
#pragma omp parallel num_threads(threads)
  {
    const std::int64_t part = omp_get_thread_num();
    use(static_cast<int>(part), count * part / threads, count * (part + 1) / threads);
  }
}

// Largest codes of one plane: first down the columns of a window into `row`, then along them. `least` stands for what is outside.
void pool_plane(const Window& window, const Shape& src_shape, const std::int16_t* src, const Shape& dst_shape, std::int16_t least,
                std::int16_t* row, std::int16_t* dst) noexcept {
  const std::int64_t height = src_shape[2];
  const std::int64_t width = src_shape[3];
  const std::int64_t out_width = dst_shape[3];
  for (std::int64_t oy = 0; oy < dst_shape[2]; ++oy, dst += out_width) {
    std::fill_n(row, width, least);
    for (std::int64_t ky = 0; ky < window.kernel[0]; ++ky) {
      const std::int64_t y = oy * window.strides[0] - window.pads_begin[0] + ky * window.dilations[0];
      if (y < 0 || y >= height) continue;
      for (std::int64_t x = 0; x < width; ++x) row[x] = std::max(row[x], src[y * width + x]);
    }
    std::fill_n(dst, out_width, least);
    const std::int64_t stride = window.strides[1];
    for (std::int64_t kx = 0; kx < window.kernel[1]; ++kx) {
      // Outputs whose column ox * stride + shift lies within the row.
      const std::int64_t shift = kx * window.dilations[1] - window.pads_begin[1];
      const std::int64_t first = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
      const std::int64_t last = shift >= width ? 0 : std::min(out_width, (width - shift + stride - 1) / stride);
      for (std::int64_t ox = first; ox < last; ++ox) dst[ox] = std::max(dst[ox], row[ox * stride + shift]);
    }
  }
}

struct CodesValue {
  BufferId buffer = 0;
  Shape shape;
};

/// Adds the nodes of one fixed-point model to a builder, with its own table of values that are codes.
class FixedPlanner {
 public:
  FixedPlanner(const Model& model, PlanBuilder& builder)
      : model_(model), builder_(builder), formats_(fixed_point_formats(model)), kernel_(select_fixed_point(active_isa())) {}

  void plan() {
    convert_input();
    for (const Node& node : model_.graph.nodes) {
      if (!builder_.is_fused(node)) plan_node(node);
    }
    const std::string& output = model_.graph.outputs.front();
    if (values_.contains(output)) dequantize(output);
  }

 private:
  void plan_node(const Node& node) {
    switch (node.op) {
      case Op::Conv: return plan_conv_node(node);
      case Op::Gemm: return plan_gemm_node(node);
      case Op::MaxPool: return plan_max_pool_node(node);
      case Op::Relu: return plan_relu_node(node);
      case Op::Flatten: return plan_flatten_node(node);
      case Op::Softmax: {
        if (node.outputs.front() != model_.graph.outputs.front()) return builder_.report(node, "not computed: no output needs it");
        dequantize(node.inputs.front());
        return plan_softmax(builder_, node);
      }
      default: BITWRIGHT_ASSERT(!"fixed_point_formats refuses other operators");
    }
  }

  [[nodiscard]] const CodesValue& source(const Node& node) const { return values_.at(node.inputs.front()); }

  CodesValue make(const std::string& name) {
    const Shape& shape = builder_.shape(name);
    const CodesValue value{.buffer = builder_.new_buffer(shape.element_count() * static_cast<std::int64_t>(sizeof(std::int16_t))),
                           .shape = shape};
    values_.insert_or_assign(name, value);
    return value;
  }

  // (G8), (G11) on the reals: ceil(x / step - 1/2), in double, where nothing of it rounds.
  void convert_input() {
    const std::string& name = model_.graph.inputs.front().name;
    const FixedPoint format = formats_.at(name);
    const CodesValue dst = make(name);
    builder_.add_loop({builder_.input_buffer()}, {dst.buffer},
                      [format, count = dst.shape.element_count(), graph = model_.graph.name](std::span<float* const> buffers) {
                        const float* src = buffers[0];
                        std::int16_t* to = codes_in(buffers[1]);
                        const double scale = std::ldexp(1.0, format.frac_bits);
                        const double least = format.min_code();
                        const double most = format.max_code();
                        bool has_nan = false;
                        for (std::int64_t i = 0; i < count; ++i) {
                          has_nan = has_nan || std::isnan(src[i]);
                          const double scaled = std::min(std::max(least, static_cast<double>(src[i]) * scale), most);
                          const double shifted = scaled - 0.5;
                          const auto whole = static_cast<std::int32_t>(shifted);  // toward zero
                          to[i] = static_cast<std::int16_t>(whole + (shifted > whole ? 1 : 0));
                        }
                        if (has_nan) {
                          fail(ErrorCode::numerical, "{}: the input holds NaN (found it, need numbers); look where the image was made.",
                               graph);
                        }
                      });
  }

  void dequantize(const std::string& name) {
    const CodesValue& src = values_.at(name);
    const PlannedValue dst = builder_.make_value(name, plain_desc(src.shape));
    builder_.add_loop(
        {src.buffer}, {dst.buffer},
        [count = src.shape.element_count(), step = static_cast<float>(formats_.at(name).step())](std::span<float* const> buffers) {
          const std::int16_t* codes = codes_in(buffers[0]);
          for (std::int64_t i = 0; i < count; ++i) buffers[1][i] = static_cast<float>(codes[i]) * step;
        });
  }

  [[nodiscard]] FixedEpilogue epilogue_of(const FixedPointProduct& product, bool has_relu) const {
    return {.activation = has_relu ? FixedEpilogue::Activation::relu : FixedEpilogue::Activation::none,
            .change = {.shift = product.acc_frac_bits() - product.output.frac_bits, .word_bits = product.output.word_bits()}};
  }

  void plan_conv_node(const Node& node) {
    const CodesValue src = source(node);
    const Shape& weight = weight_shape(builder_.weight(node, 1));
    const Window window = read_window(node, &weight);
    const std::int64_t groups = node.int_attribute("group", 1);
    FixedPointProduct product = fixed_point_product(model_, node);
    std::string output = node.outputs.front();
    const bool has_relu = builder_.fuse_relu(node, output);
    const CodesValue dst = make(output);
    const FixedConvShape shape{.channels = weight[1],
                               .height = src.shape[2],
                               .width = src.shape[3],
                               .outputs = weight[0] / groups,
                               .kernel_height = window.kernel[0],
                               .kernel_width = window.kernel[1],
                               .stride_y = window.strides[0],
                               .stride_x = window.strides[1],
                               .dilation_y = window.dilations[0],
                               .dilation_x = window.dilations[1],
                               .pad_top = window.pads_begin[0],
                               .pad_left = window.pads_begin[1],
                               .out_height = dst.shape[2],
                               .out_width = dst.shape[3]};
    const FixedDigits digits = fixed_digits(product.input.word_bits(), product.weight.word_bits());
    const std::int64_t packed_count = fixed_packed_conv_count(shape, digits);
    const auto packed = builder_.constants().fixed(constant_key(node, "fixed"), [&] {
      FixedPacked all(groups * packed_count);
      for (std::int64_t g = 0; g < groups; ++g) {
        fixed_pack_conv(shape, FixedConvWeights::forward, {.wide = product.codes.data() + g * shape.outputs * shape.depth()}, digits,
                        all.data() + g * packed_count);
      }
      return all;
    });
    const int threads = builder_.threads();
    const std::int64_t scratch_bytes = aligned_bytes(fixed_convolve_scratch_bytes(shape));
    const BufferId scratch = builder_.new_buffer(threads * scratch_bytes);
    const FixedEpilogue epilogue = epilogue_of(product, has_relu);
    builder_.report(node, std::string(kernel_.name) + ":conv");
    builder_.add_loop({src.buffer}, {scratch, dst.buffer},
                      [=, kernel = &kernel_, bias = std::move(product.bias), images = src.shape[0]](std::span<float* const> buffers) {
                        const std::int64_t src_plane = shape.height * shape.width;
                        const std::int64_t dst_plane = shape.out_height * shape.out_width;
                        // Rows of all images in one count, so that threads share one image as well as many.
                        share(threads, images * shape.out_height, [&](int thread, std::int64_t begin, std::int64_t end) {
                          for (std::int64_t row = begin; row < end;) {
                            const std::int64_t n = row / shape.out_height;
                            const std::int64_t first = row % shape.out_height;
                            const std::int64_t last = std::min(shape.out_height, first + end - row);
                            for (std::int64_t g = 0; g < groups; ++g) {
                              FixedEpilogue of_group = epilogue;
                              of_group.bias = bias.data() + g * shape.outputs;
                              (void)fixed_convolve(*kernel,
                                                   {.shape = shape,
                                                    .src = codes_in(buffers[0]) + (n * groups + g) * shape.channels * src_plane,
                                                    .src_image_stride = groups * shape.channels * src_plane,
                                                    .images = 1,
                                                    .first_row = first,
                                                    .last_row = last,
                                                    .packed = packed->data() + g * packed_count,
                                                    .digits = digits,
                                                    .scratch = bytes_in(buffers[1]) + thread * scratch_bytes},
                                                   of_group, {.codes = codes_in(buffers[2]) + (n * groups + g) * shape.outputs * dst_plane},
                                                   groups * shape.outputs * dst_plane);
                            }
                            row += last - first;
                          }
                        });
                      });
  }

  void plan_gemm_node(const Node& node) {
    const CodesValue src = source(node);
    const Shape& weight = weight_shape(builder_.weight(node, 1));
    FixedPointProduct product = fixed_point_product(model_, node);
    std::string output = node.outputs.front();
    const bool has_relu = builder_.fuse_relu(node, output);
    const CodesValue dst = make(output);
    const std::int64_t columns = weight[0];
    const std::int64_t depth = weight[1];
    const FixedDigits digits = fixed_digits(product.input.word_bits(), product.weight.word_bits());
    const auto packed = builder_.constants().fixed(constant_key(node, "fixed"), [&] {
      FixedPacked all(fixed_packed_count(columns, depth, digits));
      fixed_pack(kernel_, {.codes = {.wide = product.codes.data()},
                           .columns = columns,
                           .column_stride = depth,
                           .depth = depth,
                           .depth_stride = 1,
                           .digits = digits,
                           .dst = all.data()});
      return all;
    });
    const int threads = builder_.threads();
    const std::int64_t scratch_bytes = aligned_bytes(fixed_dense_scratch_bytes(columns));
    const BufferId scratch = builder_.new_buffer(threads * scratch_bytes);
    const FixedEpilogue epilogue = epilogue_of(product, has_relu);
    builder_.report(node, std::string(kernel_.name) + ":dense");
    builder_.add_loop({src.buffer}, {scratch, dst.buffer},
                      [=, kernel = &kernel_, bias = std::move(product.bias), images = src.shape[0]](std::span<float* const> buffers) {
                        FixedEpilogue with_bias = epilogue;
                        with_bias.bias = bias.data();
                        // Panels of outputs: every thread reads its part of the weights once, whatever the batch.
                        const std::int64_t panels = (columns + kFixedPanelColumns - 1) / kFixedPanelColumns;
                        share(threads, panels, [&](int thread, std::int64_t begin, std::int64_t end) {
                          (void)fixed_dense(*kernel,
                                            {.a = codes_in(buffers[0]),
                                             .a_stride = depth,
                                             .rows = images,
                                             .packed = packed->data(),
                                             .columns = columns,
                                             .depth = depth,
                                             .digits = digits,
                                             .first_column = begin * kFixedPanelColumns,
                                             .last_column = std::min(columns, end * kFixedPanelColumns)},
                                            with_bias, {.codes = codes_in(buffers[2])}, bytes_in(buffers[1]) + thread * scratch_bytes);
                        });
                      });
  }

  void plan_max_pool_node(const Node& node) {
    const CodesValue src = source(node);
    const CodesValue dst = make(node.outputs.front());
    const Window window = read_window(node);
    const auto least = static_cast<std::int16_t>(formats_.at(node.inputs.front()).min_code());
    const std::int64_t row_bytes = aligned_bytes(src.shape[3] * static_cast<std::int64_t>(sizeof(std::int16_t)));
    const BufferId rows = builder_.new_buffer(builder_.threads() * row_bytes);
    builder_.report(node, "loop:max_pool:int16");
    builder_.add_loop({src.buffer}, {rows, dst.buffer},
                      [=, threads = builder_.threads(), src_shape = src.shape, dst_shape = dst.shape](std::span<float* const> buffers) {
                        const std::int64_t src_plane = src_shape[2] * src_shape[3];
                        const std::int64_t dst_plane = dst_shape[2] * dst_shape[3];
                        share(threads, src_shape[0] * src_shape[1], [&](int thread, std::int64_t begin, std::int64_t end) {
                          auto* row = reinterpret_cast<std::int16_t*>(bytes_in(buffers[1]) + thread * row_bytes);
                          for (std::int64_t plane = begin; plane < end; ++plane) {
                            pool_plane(window, src_shape, codes_in(buffers[0]) + plane * src_plane, dst_shape, least, row,
                                       codes_in(buffers[2]) + plane * dst_plane);
                          }
                        });
                      });
  }

  void plan_relu_node(const Node& node) {
    const CodesValue src = source(node);
    const CodesValue dst = make(node.outputs.front());
    builder_.report(node, "loop:relu:int16");
    builder_.add_loop({src.buffer}, {dst.buffer}, [count = src.shape.element_count()](std::span<float* const> buffers) {
      const std::int16_t* from = codes_in(buffers[0]);
      std::int16_t* to = codes_in(buffers[1]);
      for (std::int64_t i = 0; i < count; ++i) to[i] = std::max(from[i], std::int16_t{0});
    });
  }

  void plan_flatten_node(const Node& node) {
    const CodesValue src = source(node);
    values_.insert_or_assign(node.outputs.front(), CodesValue{.buffer = src.buffer, .shape = builder_.shape(node.outputs.front())});
    builder_.report(node, "view");
  }

  const Model& model_;
  PlanBuilder& builder_;
  ValueFormats formats_;
  const FixedPointKernel& kernel_;
  std::map<std::string, CodesValue, std::less<>> values_;
};

}  // namespace

Plan make_fixed_plan(const Model& model, const PlanRequest& request, ConstantCache& constants) {
  // Codes of its own, whatever the mode: the formats are part of the model.
  PlanBuilder builder(
      model, {.batch = request.batch, .threads = request.threads, .activations = Activations::float32, .scales = {}, .observer = {}},
      constants);
  FixedPlanner(model, builder).plan();
  return std::move(builder).finish();
}

}  // namespace bitwright
