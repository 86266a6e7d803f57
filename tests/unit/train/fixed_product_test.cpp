// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/fixed_point/product.h"

#include "bitwright/kernels/isa.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <tuple>

namespace bitwright::fixed_point {
namespace {

using Ints = std::vector<std::int64_t>;

const Rng kRng(4, "fixed_product_test");

/// Codes of a format, the ends of the range among them.
std::vector<std::int32_t> codes_in(const FixedPoint& format, std::int64_t count, std::string_view purpose) {
  const Rng rng = kRng.split(purpose);
  std::vector<std::int32_t> codes;
  const auto range = static_cast<std::uint64_t>(format.code_count());
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint64_t draw = rng.below(static_cast<std::uint64_t>(i), range + 64);  // 32 more chances for each end
    codes.push_back(static_cast<std::int32_t>(
        std::clamp<std::int64_t>(static_cast<std::int64_t>(draw) - 32 + format.min_code(), format.min_code(), format.max_code())));
  }
  return codes;
}

at::Tensor tensor_of(const std::vector<std::int32_t>& codes, const Ints& sizes) {
  return at::tensor(codes, at::kInt).reshape(sizes).to(at::kShort);
}

struct Case {
  std::string name;
  Node node;
  Ints weight;
  Ints src;
  ProductFormats formats;
};

Node conv_node(std::map<std::string, Attribute> attributes = {}) {
  return {"layer", Op::Conv, {"x", "w", "b"}, {"y"}, std::move(attributes)};
}

std::vector<Case> cases() {
  const FixedPoint six{6, 10};
  const FixedPoint two{2, 14};
  const ProductFormats usual{six, two, two, six, six};
  const Node gemm{"layer", Op::Gemm, {"x", "w", "b"}, {"y"}, {{"transB", std::int64_t{1}}}};
  return {{"Gemm", gemm, {37, 65}, {5, 65}, usual},
          {"GemmOfFineWeights", gemm, {10, 33}, {4, 33}, {six, {4, 16}, {4, 12}, {4, 12}, {8, 8}}},
          {"GemmOfBytes", gemm, {10, 64}, {4, 64}, {{4, 4}, {2, 6}, {2, 6}, {6, 2}, {5, 3}}},
          {"Conv", conv_node({{"pads", Ints{2, 2, 2, 2}}}), {6, 3, 5, 5}, {3, 3, 8, 7}, usual},
          {"ConvOfOneChannel", conv_node(), {4, 1, 5, 5}, {2, 1, 9, 9}, usual},
          {"ConvWithStridesAndUnequalPads",
           conv_node({{"pads", Ints{0, 1, 2, 1}}, {"strides", Ints{2, 3}}}),
           {5, 2, 3, 2},
           {2, 2, 9, 8},
           usual},
          {"ConvWithDilation", conv_node({{"dilations", Ints{2, 1}}, {"pads", Ints{1, 1, 1, 1}}}), {3, 4, 3, 3}, {2, 4, 8, 8}, usual},
          {"ConvInGroups", conv_node({{"group", std::int64_t{2}}, {"pads", Ints{1, 1, 1, 1}}}), {6, 2, 3, 3}, {2, 4, 6, 5}, usual}};
}

/// One term of the layer's sum: output `out` takes weight `weight` times input `src`; indices into the dense tensors.
struct Term {
  std::int64_t out, weight, src;
};

/// All of them, by the definition of the operators.
std::vector<Term> terms_of(const Case& c, const at::Tensor& dst) {
  std::vector<Term> terms;
  const Shape weight{c.weight};
  if (c.node.op == Op::Gemm) {
    for (std::int64_t n = 0; n < c.src[0]; ++n) {
      for (std::int64_t o = 0; o < c.weight[0]; ++o) {
        for (std::int64_t k = 0; k < c.weight[1]; ++k) terms.push_back({n * c.weight[0] + o, o * c.weight[1] + k, n * c.weight[1] + k});
      }
    }
    return terms;
  }
  const Window w = read_window(c.node, &weight);
  const std::int64_t group = c.node.int_attribute("group", 1);
  const std::int64_t outputs = c.weight[0] / group;
  for (std::int64_t n = 0; n < c.src[0]; ++n) {
    for (std::int64_t o = 0; o < c.weight[0]; ++o) {
      for (std::int64_t y = 0; y < dst.size(2); ++y) {
        for (std::int64_t x = 0; x < dst.size(3); ++x) {
          for (std::int64_t i = 0; i < c.weight[1] * c.weight[2] * c.weight[3]; ++i) {
            const std::int64_t channel = i / (c.weight[2] * c.weight[3]);
            const std::int64_t row = y * w.strides[0] + i / c.weight[3] % c.weight[2] * w.dilations[0] - w.pads_begin[0];
            const std::int64_t column = x * w.strides[1] + i % c.weight[3] * w.dilations[1] - w.pads_begin[1];
            if (row < 0 || column < 0 || row >= c.src[2] || column >= c.src[3]) continue;
            const std::int64_t src_channel = o / outputs * c.weight[1] + channel;
            terms.push_back({((n * c.weight[0] + o) * dst.size(2) + y) * dst.size(3) + x, o * c.weight[1] * c.weight[2] * c.weight[3] + i,
                             ((n * c.src[1] + src_channel) * c.src[2] + row) * c.src[3] + column});
          }
        }
      }
    }
  }
  return terms;
}

class FixedProduct : public ::testing::TestWithParam<Case> {
 protected:
  FixedProduct() {
    weights = codes_in(c.formats.weights, Shape(c.weight).element_count(), "weights");
    bias = codes_in(c.formats.bias, c.weight[0], "bias");
    src = codes_in(c.formats.src, Shape(c.src).element_count(), "src");
  }
  Product make(Product::Activation activation) {
    Product product(c.node, Shape(c.weight), activation);
    product.set_parameters(c.formats, weights, bias);
    return product;
  }
  at::Tensor src_tensor() const { return tensor_of(src, c.src); }

  Case c = GetParam();
  std::vector<std::int32_t> weights, bias, src;
};

std::vector<std::int16_t> values(const at::Tensor& codes) {
  return {codes.data_ptr<std::int16_t>(), codes.data_ptr<std::int16_t>() + codes.numel()};
}

TEST_P(FixedProduct, ForwardIsTheExactSumRoundedOnce) {
  const Conversion stochastic{Rounding::stochastic, kRng.split("forward")};
  for (const Conversion& conversion : {Conversion{}, stochastic}) {
    for (const auto activation : {Product::Activation::none, Product::Activation::relu}) {
      Product product = make(activation);
      const Converted found = product.forward(src_tensor(), conversion, Product::Signs::keep, Arithmetic::exact);
      std::vector<std::int64_t> acc(static_cast<std::size_t>(found.codes.numel()));
      const std::int64_t positions = found.codes.dim() == 4 ? found.codes.size(2) * found.codes.size(3) : 1;
      for (std::size_t i = 0; i < acc.size(); ++i) {
        const auto channel = static_cast<std::size_t>(static_cast<std::int64_t>(i) / positions % c.weight[0]);
        acc[i] = std::int64_t{bias[channel]} << (c.formats.acc_frac_bits() - c.formats.bias.frac_bits);
      }
      for (const Term& t : terms_of(c, found.codes)) {
        acc[static_cast<std::size_t>(t.out)] +=
            std::int64_t{weights[static_cast<std::size_t>(t.weight)]} * src[static_cast<std::size_t>(t.src)];
      }
      const RoundingContext rounding{conversion.rounding, &conversion.rng};
      std::vector<std::int16_t> need;
      std::vector<std::uint8_t> positive;
      for (std::size_t i = 0; i < acc.size(); ++i) {
        positive.push_back(acc[i] > 0 ? 1 : 0);
        const std::int64_t value = activation == Product::Activation::relu ? std::max<std::int64_t>(acc[i], 0) : acc[i];
        need.push_back(static_cast<std::int16_t>(convert_acc(value, c.formats.acc_frac_bits(), c.formats.dst, rounding, i)));
      }
      EXPECT_EQ(values(found.codes), need);
      const std::uint8_t* const signs = found.positive.data_ptr<std::uint8_t>();
      EXPECT_EQ(std::vector<std::uint8_t>(signs, signs + acc.size()), positive);
    }
  }
}

TEST_P(FixedProduct, ErrorsAndGradientsAreTheExactTransposedSums) {
  Product product = make(Product::Activation::none);
  const at::Tensor dst = product.forward(src_tensor(), {}, Product::Signs::drop, Arithmetic::exact).codes;
  const std::vector<std::int32_t> errors = codes_in(c.formats.errors, dst.numel(), "errors");
  std::vector<std::int64_t> to_src(src.size());
  std::vector<std::int64_t> to_weights(weights.size());
  for (const Term& t : terms_of(c, dst)) {
    const std::int64_t error = errors[static_cast<std::size_t>(t.out)];
    to_src[static_cast<std::size_t>(t.src)] += error * weights[static_cast<std::size_t>(t.weight)];
    to_weights[static_cast<std::size_t>(t.weight)] += error * src[static_cast<std::size_t>(t.src)];
  }
  const at::Tensor error_codes = tensor_of(errors, dst.sizes().vec());
  const Conversion stochastic{Rounding::stochastic, kRng.split("backward")};
  for (const Conversion& conversion : {Conversion{}, stochastic}) {
    const Converted found = product.input_errors(error_codes, src_tensor(), conversion, Arithmetic::exact);
    const RoundingContext rounding{conversion.rounding, &conversion.rng};
    std::vector<std::int16_t> need;
    for (std::size_t i = 0; i < to_src.size(); ++i) {
      need.push_back(static_cast<std::int16_t>(
          convert_acc(to_src[i], c.formats.errors.frac_bits + c.formats.weights.frac_bits, c.formats.errors, rounding, i)));
    }
    EXPECT_EQ(values(found.codes), need);
    EXPECT_EQ(found.codes.sizes().vec(), c.src);
  }
  std::vector<std::int64_t> gradient(weights.size());
  product.weight_gradient(src_tensor(), error_codes, gradient, Arithmetic::exact);
  EXPECT_EQ(gradient, to_weights);
  std::vector<std::int64_t> bias_sums(bias.size());
  product.bias_gradient(error_codes, bias_sums);
  const std::int64_t positions = dst.dim() == 4 ? dst.size(2) * dst.size(3) : 1;
  std::vector<std::int64_t> need(bias.size());
  for (std::size_t i = 0; i < errors.size(); ++i) {
    need[static_cast<std::size_t>(static_cast<std::int64_t>(i) / positions % c.weight[0])] += errors[i];
  }
  EXPECT_EQ(bias_sums, need);
}

TEST_P(FixedProduct, TheBitsDoNotDependOnThreadsOrInstructionSet) {
  const int threads_before = at::get_num_threads();
  const Conversion conversion{Rounding::stochastic, kRng.split("threads")};
  std::optional<std::tuple<std::vector<std::int16_t>, std::vector<std::int16_t>, std::vector<std::int64_t>>> first;
  for (const Isa isa : available_isas()) {
    ::setenv("BITWRIGHT_ISA", std::string(isa_name(isa)).c_str(), 1);
    for (const int threads : {1, 2}) {
      at::set_num_threads(threads);
      Product product = make(Product::Activation::none);
      const at::Tensor dst = product.forward(src_tensor(), conversion, Product::Signs::drop, Arithmetic::exact).codes;
      const at::Tensor errors = tensor_of(codes_in(c.formats.errors, dst.numel(), "errors"), dst.sizes().vec());
      const Converted below = product.input_errors(errors, src_tensor(), conversion, Arithmetic::exact);
      std::vector<std::int64_t> gradient(weights.size());
      product.weight_gradient(src_tensor(), errors, gradient, Arithmetic::exact);
      const std::tuple found{values(dst), values(below.codes), gradient};
      if (!first) first = found;
      EXPECT_EQ(found, *first) << isa_name(isa) << ", " << threads << " threads";
    }
  }
  ::unsetenv("BITWRIGHT_ISA");
  at::set_num_threads(threads_before);
}

// Small codes: every float32 sum stays below 2^24 and is exact, so that both arithmetics must agree to the bit, draws included.
TEST_P(FixedProduct, Float32IsTheSameWhereItsSumsAreExact) {
  for (auto* codes : {&weights, &src}) {
    for (std::int32_t& code : *codes) code %= 128;
  }
  Product product = make(Product::Activation::relu);
  const Conversion conversion{Rounding::stochastic, kRng.split("float32")};
  const Converted exact = product.forward(src_tensor(), conversion, Product::Signs::keep, Arithmetic::exact);
  const Converted floats = product.forward(src_tensor(), conversion, Product::Signs::keep, Arithmetic::float32);
  EXPECT_TRUE(at::equal(exact.codes, floats.codes));
  EXPECT_TRUE(at::equal(exact.positive, floats.positive));
  EXPECT_EQ(exact.saturated, floats.saturated);
  at::Tensor errors = tensor_of(codes_in(c.formats.errors, exact.codes.numel(), "errors"), exact.codes.sizes().vec());
  errors = errors.remainder(128);
  EXPECT_TRUE(at::equal(product.input_errors(errors, src_tensor(), conversion, Arithmetic::exact).codes,
                        product.input_errors(errors, src_tensor(), conversion, Arithmetic::float32).codes));
  std::vector<std::int64_t> exact_sums(weights.size());
  std::vector<std::int64_t> float_sums(weights.size());
  product.weight_gradient(src_tensor(), errors, exact_sums, Arithmetic::exact);
  product.weight_gradient(src_tensor(), errors, float_sums, Arithmetic::float32);
  EXPECT_EQ(exact_sums, float_sums);
}

INSTANTIATE_TEST_SUITE_P(Layers, FixedProduct, ::testing::ValuesIn(cases()), [](const auto& param) { return param.param.name; });

Node plain_gemm() { return {"layer", Op::Gemm, {"x", "w", "b"}, {"y"}, {{"transB", std::int64_t{1}}}}; }

// Eight products of 0.3984375 steps each: 3.1875 in all. Rounded product by product, nothing would be left (section 3 of the page).
TEST(FixedProductOnce, EightSmallProductsAreRoundedOnce) {
  const Node node = plain_gemm();
  Product product(node, Shape{1, 8}, Product::Activation::none);
  const std::vector<std::int32_t> weights(8, 102);
  product.set_parameters({{4, 12}, {4, 12}, {4, 12}, {6, 10}, {6, 10}}, weights, {});
  const Converted dst = product.forward(at::full({1, 8}, 64, at::kShort), {}, Product::Signs::drop, Arithmetic::exact);
  EXPECT_THAT(values(dst.codes), ::testing::ElementsAre(3));
}

// 2^30 + 1 is not a float32.
TEST(FixedProductOnce, Float32LosesWhatAnIntegerKeeps) {
  const Node node = plain_gemm();
  Product product(node, Shape{1, 2}, Product::Activation::none);
  const std::vector<std::int32_t> weights = {-32768, 1};
  product.set_parameters({{16, 0}, {16, 0}, {16, 0}, {16, 0}, {16, 0}}, weights, {});
  std::vector<std::int64_t> exact(2), floats(2);
  const at::Tensor src = tensor_of({-32768, 1, 1, 0}, {2, 2});
  const at::Tensor errors = tensor_of({-32768, 1}, {2, 1});
  product.weight_gradient(src, errors, exact, Arithmetic::exact);
  product.weight_gradient(src, errors, floats, Arithmetic::float32);
  EXPECT_EQ(exact[0], (std::int64_t{1} << 30) + 1);
  EXPECT_EQ(floats[0], std::int64_t{1} << 30);
}

TEST(FixedProductOnce, CountsWhatSaturates) {
  const Node node = plain_gemm();
  Product product(node, Shape{2, 1}, Product::Activation::none);
  const std::vector<std::int32_t> weights = {100, 1};
  product.set_parameters({{16, 0}, {16, 0}, {16, 0}, {8, 0}, {8, 0}}, weights, {});
  const at::Tensor src = tensor_of({1, 2, -2, 127}, {4, 1});
  const Converted dst = product.forward(src, {}, Product::Signs::drop, Arithmetic::exact);
  EXPECT_THAT(values(dst.codes), ::testing::ElementsAre(100, 1, 127, 2, -128, -2, 127, 127));
  EXPECT_EQ(dst.saturated, 3);
}

}  // namespace
}  // namespace bitwright::fixed_point
