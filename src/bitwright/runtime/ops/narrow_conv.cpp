// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/ops/narrow_conv.h"

#include "bitwright/runtime/ops/pixel_fold.h"

#include <algorithm>
#include <utility>

namespace bitwright {
namespace {

constexpr std::int64_t kLeastRows = 7;                               // of a part: below, its halo and the calls cost what sharing saves
constexpr std::int64_t kMostWeightBytes = std::int64_t{320} * 1024;  // every thread reads all weights

NarrowPrimitive::Part part_of(const dnnl::convolution_forward::primitive_desc& pd, const NarrowTypes& types) {
  return {.make = [pd] { return dnnl::convolution_forward(pd); }, .scratchpad = pd.scratchpad_desc(), .src = types.src, .dst = types.dst};
}

NarrowPrimitive whole(const Window& window, const NarrowTypes& types) {
  const auto pd = describe_conv(window, types);
  return {.parts = {part_of(pd, types)}, .name = std::string("conv:") + pd.impl_info_str(), .weights = pd.weights_desc()};
}

std::int64_t element_bytes(const dnnl::memory::desc& desc) {
  return static_cast<std::int64_t>(dnnl::memory::data_type_size(desc.data_type()));
}

// Rows [begin, end) of one image, channels last.
dnnl::memory::desc rows_of(const dnnl::memory::desc& image, std::int64_t begin, std::int64_t end) {
  const std::vector<std::int64_t> dims = image.dims();
  return narrow_desc(Shape{dims[0], dims[1], end - begin, dims[3]}, value_type(image));
}

bool is_worth_sharing(const NarrowTypes& types, int threads) {
  const std::vector<std::int64_t> src = types.src.dims();
  const std::vector<std::int64_t> dst = types.dst.dims();
  const std::vector<std::int64_t> weights = types.weights.dims();
  std::int64_t weight_bytes = element_bytes(types.weights);
  for (const std::int64_t extent : weights) weight_bytes *= extent;
  return threads > 1 && src[0] == 1 && dst[2] >= threads * kLeastRows && weight_bytes <= kMostWeightBytes;
}

// One part per thread; nothing when oneDNN would want the weights in a different layout for each.
std::optional<NarrowPrimitive> shared_by_rows(const Window& window, const NarrowTypes& types, int threads) {
  const ThreadScope one(1);
  const std::int64_t height = types.src.dims()[2];
  const std::int64_t out_height = types.dst.dims()[2];
  const std::int64_t reach = (window.kernel[0] - 1) * window.dilations[0];
  NarrowPrimitive shared;
  for (std::int64_t i = 0; i < threads; ++i) {
    const std::int64_t out_begin = out_height * i / threads;
    const std::int64_t out_end = out_height * (i + 1) / threads;
    // Rows that the part's windows cover; what lies beyond the image is its padding.
    const std::int64_t from = out_begin * window.strides[0] - window.pads_begin[0];
    const std::int64_t to = (out_end - 1) * window.strides[0] - window.pads_begin[0] + reach + 1;
    const std::int64_t begin = std::clamp<std::int64_t>(from, 0, height);
    const std::int64_t end = std::clamp<std::int64_t>(to, 0, height);
    if (begin >= end) return std::nullopt;
    Window of_part = window;
    of_part.pads_begin[0] = begin - from;
    of_part.pads_end[0] = to - end;
    NarrowTypes part_types = types;
    part_types.src = rows_of(types.src, begin, end);
    part_types.dst = rows_of(types.dst, out_begin, out_end);
    if (i > 0) part_types.weights = shared.weights;
    const auto pd = describe_conv(of_part, part_types);
    const std::string name = std::string("conv:") + pd.impl_info_str();
    if (i > 0 && name != shared.name) return std::nullopt;
    shared.name = name;
    shared.weights = pd.weights_desc();
    shared.parts.push_back(part_of(pd, part_types));
    const auto row_bytes = [](const dnnl::memory::desc& image) { return image.dims()[1] * image.dims()[3] * element_bytes(image); };
    shared.parts.back().src_bytes = begin * row_bytes(types.src);
    shared.parts.back().dst_bytes = out_begin * row_bytes(types.dst);
  }
  shared.name += ":by_rows";
  return shared;
}

bool is_for_matrix_unit(const NarrowPrimitive& chosen) { return chosen.name.find("amx") != std::string::npos; }

}  // namespace

dnnl::convolution_forward::primitive_desc describe_conv(const Window& window, const NarrowTypes& types) {
  const dnnl::convolution_forward::desc desc(dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, types.src,
                                             types.weights, types.bias, types.dst, {window.strides[0], window.strides[1]},
                                             {window.dilations[0] - 1, window.dilations[1] - 1},
                                             {window.pads_begin[0], window.pads_begin[1]}, {window.pads_end[0], window.pads_end[1]});
  return {desc, types.attributes, cpu_engine()};
}

NarrowChoice choose_narrow_conv(const Window& window, int threads) {
  return [window, threads](const NarrowTypes& types) {
    if (is_worth_sharing(types, threads)) {
      try {
        if (std::optional<NarrowPrimitive> shared = shared_by_rows(window, types, threads)) return *std::move(shared);
      } catch (const dnnl::error& error) {
        if (!is_missing(error)) throw;
      }
    }
    return whole(window, types);
  };
}

std::function<std::optional<NarrowAlternative>(const NarrowPrimitive& chosen)> folding_alternative(const NarrowView& view,
                                                                                                   const Window& window, int threads) {
  constexpr std::int64_t kPixels = 2;
  if (view.weight.rank() != 4 || window.dilations[1] != 1 || dnnl::get_effective_cpu_isa() < dnnl::cpu_isa::avx512_core_amx) return {};
  const RowShape row{.width = view.source[3],
                     .out_width = view.result[3],
                     .kernel = window.kernel[1],
                     .stride = window.strides[1],
                     .pad = window.pads_begin[1]};
  const std::optional<PixelFold> fold = fold_pixels(row, kPixels);
  if (!fold) return {};
  return [=](const NarrowPrimitive& chosen) -> std::optional<NarrowAlternative> {
    // Measured on ResNet-20's layers: a register that takes twice the channels saves time where the stride makes windows overlap less, or
    // where the outputs too fill a quarter of one at most. oneDNN's own kernel for images of few channels is faster still.
    const std::int64_t capacity = chosen.weights.data_type() == dnnl::memory::data_type::s8 ? 64 : 32;
    const std::int64_t channels = view.source[1];
    const bool is_narrow = row.stride == 1 ? 4 * channels <= capacity && view.weight[0] <= 16 : kPixels * channels <= capacity;
    if (!is_narrow || chosen.name.starts_with("conv:jit:avx512_core_amx")) return std::nullopt;
    const auto split = [](const Shape& shape, std::int64_t pixels) {
      return Shape{shape[0], shape[1] * pixels, shape[2], shape[3] / pixels};
    };
    Window folded = window;
    folded.kernel[1] = fold->kernel;
    folded.strides[1] = 1;
    folded.pads_begin[1] = fold->pad_begin;
    folded.pads_end[1] = fold->pad_end;
    const FoldableWeights extents{.outputs = view.weight[0], .channels = channels, .kernel_height = window.kernel[0]};
    return NarrowAlternative{
        .copies = fold->dst_pixels,
        .view = {.source = split(view.source, fold->src_pixels),
                 .weight = Shape{view.weight[0] * fold->dst_pixels, channels * fold->src_pixels, window.kernel[0], fold->kernel},
                 .result = split(view.result, fold->dst_pixels)},
        .choose =
            [choose = choose_narrow_conv(folded, threads)](const NarrowTypes& types) {
              NarrowPrimitive found = choose(types);
              found.name += ":pairs";
              return found;
            },
        .is_faster = is_for_matrix_unit,
        .turn =
            [=](NarrowWeights& weights) {
              if (!weights.codes.empty()) weights.codes = fold_weights(std::span<const std::int8_t>(weights.codes), extents, row, *fold);
              if (!weights.values.empty()) weights.values = fold_weights(std::span<const float>(weights.values), extents, row, *fold);
            }};
  };
}

}  // namespace bitwright
