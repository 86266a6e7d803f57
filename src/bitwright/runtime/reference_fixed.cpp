// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/reference_fixed.h"

#include "bitwright/core/assert.h"
#include "bitwright/model/fixed_point_model.h"
#include "bitwright/model/window.h"
#include "bitwright/runtime/reference_ops.h"

#include <algorithm>

namespace bitwright {
namespace {

constexpr RoundingContext kNearestDown{.mode = Rounding::nearest_down};

struct Codes {
  Shape shape;
  FixedPoint format;
  std::vector<std::int32_t> code;
};

std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

std::int64_t image_index(const Shape& shape, std::int64_t n, std::int64_t c, std::int64_t y, std::int64_t x) {
  return ((n * shape[1] + c) * shape[2] + y) * shape[3] + x;
}

// Positions of a window that lie within the image: use(y, x, ky, kx).
template <typename Use>
void for_window(const Window& window, const Shape& src, std::int64_t oy, std::int64_t ox, Use use) {
  for (std::int64_t ky = 0; ky < window.kernel[0]; ++ky) {
    for (std::int64_t kx = 0; kx < window.kernel[1]; ++kx) {
      const std::int64_t y = oy * window.strides[0] - window.pads_begin[0] + ky * window.dilations[0];
      const std::int64_t x = ox * window.strides[1] - window.pads_begin[1] + kx * window.dilations[1];
      if (y >= 0 && y < src[2] && x >= 0 && x < src[3]) use(y, x, ky, kx);
    }
  }
}

// use(n, c, y, x, index) for every element of an image.
template <typename Use>
void for_image(const Shape& shape, Use use) {
  std::int64_t index = 0;
  for (std::int64_t n = 0; n < shape[0]; ++n) {
    for (std::int64_t c = 0; c < shape[1]; ++c) {
      for (std::int64_t y = 0; y < shape[2]; ++y) {
        for (std::int64_t x = 0; x < shape[3]; ++x) use(n, c, y, x, index++);
      }
    }
  }
}

std::int32_t rounded(std::int64_t acc, const FixedPointProduct& product) {
  return convert_acc(acc, product.acc_frac_bits(), product.output, kNearestDown, 0);
}

Codes fixed_conv(const Model& model, const Node& node, const Codes& src, const Shape& shape) {
  const FixedPointProduct product = fixed_point_product(model, node);
  const Shape& weight = weight_shape(model.weights.find(node.inputs[1])->second);
  const Window window = read_window(node, &weight);
  const std::int64_t group_outputs = weight[0] / node.int_attribute("group", 1);
  Codes dst{.shape = shape, .format = product.output, .code = std::vector<std::int32_t>(at(shape.element_count()))};
  for_image(shape, [&](std::int64_t n, std::int64_t o, std::int64_t oy, std::int64_t ox, std::int64_t index) {
    std::int64_t acc = product.bias[at(o)];
    for (std::int64_t i = 0; i < weight[1]; ++i) {
      for_window(window, src.shape, oy, ox, [&](std::int64_t y, std::int64_t x, std::int64_t ky, std::int64_t kx) {
        acc += std::int64_t{product.codes[at(image_index(weight, o, i, ky, kx))]} *
               src.code[at(image_index(src.shape, n, o / group_outputs * weight[1] + i, y, x))];
      });
    }
    dst.code[at(index)] = rounded(acc, product);
  });
  return dst;
}

Codes fixed_gemm(const Model& model, const Node& node, const Codes& src, const Shape& shape) {
  const FixedPointProduct product = fixed_point_product(model, node);
  const std::int64_t depth = src.shape[1];
  Codes dst{.shape = shape, .format = product.output, .code = std::vector<std::int32_t>(at(shape.element_count()))};
  for (std::int64_t n = 0; n < shape[0]; ++n) {
    for (std::int64_t o = 0; o < shape[1]; ++o) {
      std::int64_t acc = product.bias[at(o)];
      for (std::int64_t i = 0; i < depth; ++i) acc += std::int64_t{product.codes[at(o * depth + i)]} * src.code[at(n * depth + i)];
      dst.code[at(n * shape[1] + o)] = rounded(acc, product);
    }
  }
  return dst;
}

Codes fixed_max_pool(const Node& node, const Codes& src, const Shape& shape) {
  const Window window = read_window(node);
  Codes dst{.shape = shape, .format = src.format, .code = std::vector<std::int32_t>(at(shape.element_count()))};
  for_image(shape, [&](std::int64_t n, std::int64_t c, std::int64_t oy, std::int64_t ox, std::int64_t index) {
    std::int32_t largest = src.format.min_code();
    for_window(window, src.shape, oy, ox, [&](std::int64_t y, std::int64_t x, std::int64_t, std::int64_t) {
      largest = std::max(largest, src.code[at(image_index(src.shape, n, c, y, x))]);
    });
    dst.code[at(index)] = largest;
  });
  return dst;
}

Codes fixed_relu(const Codes& src) {
  Codes dst = src;
  for (std::int32_t& code : dst.code) code = std::max(code, 0);
  return dst;
}

RunningTensor dequantized(const Codes& codes) {
  std::vector<float> values(codes.code.size());
  codes.format.decode({}, codes.code, values);
  return exact_tensor(codes.shape, values);
}

}  // namespace

std::vector<double> run_fixed_reference(const Model& model, const ShapeMap& shapes, std::span<const float> input,
                                        std::vector<double>* error_bound) {
  const ValueFormats formats = fixed_point_formats(model);
  std::map<std::string, Codes, std::less<>> values;
  const std::string& input_name = model.graph.inputs.front().name;
  Codes converted{.shape = shapes.at(input_name), .format = formats.at(input_name), .code = std::vector<std::int32_t>(input.size())};
  for (std::size_t i = 0; i < input.size(); ++i) converted.code[i] = convert(input[i], converted.format, kNearestDown, i);
  values.emplace(input_name, std::move(converted));

  const std::string& output_name = model.graph.outputs.front();
  for (const Node& node : model.graph.nodes) {
    const Codes& src = values.at(node.inputs.front());
    const Shape& shape = shapes.at(node.outputs.front());
    Codes dst;
    switch (node.op) {
      case Op::Conv: dst = fixed_conv(model, node, src, shape); break;
      case Op::Gemm: dst = fixed_gemm(model, node, src, shape); break;
      case Op::MaxPool: dst = fixed_max_pool(node, src, shape); break;
      case Op::Relu: dst = fixed_relu(src); break;
      case Op::Softmax: {
        if (node.outputs.front() != output_name) continue;
        const RunningTensor logits = dequantized(src);
        const RunningTensor* const inputs[] = {&logits};
        RunningTensor output = reference_softmax(node, inputs, shape);
        if (error_bound != nullptr) *error_bound = error_bounds(output);
        return std::move(output.value);
      }
      case Op::Flatten:
      case Op::Dropout: dst = {.shape = shape, .format = src.format, .code = src.code}; break;
      default: BITWRIGHT_ASSERT(!"fixed_point_formats refuses other operators");
    }
    values.insert_or_assign(node.outputs.front(), std::move(dst));
  }
  RunningTensor output = dequantized(values.at(output_name));
  if (error_bound != nullptr) *error_bound = std::vector<double>(output.value.size(), 0.0);
  return std::move(output.value);
}

}  // namespace bitwright
