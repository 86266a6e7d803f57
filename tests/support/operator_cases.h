// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tests/unit/runtime/small_models.h"

#include <string>
#include <utility>
#include <vector>

namespace bitwright::test {

/// A small graph around one operator, with random weights.
struct OperatorCase {
  std::string name;
  Model model;
};

using OperatorInts = std::vector<std::int64_t>;

/// Cases for every elementwise operator of one input: several shapes, and behind a convolution whose channels fill no vector.
inline std::vector<OperatorCase> unary_cases() {
  struct Unary {
    std::string name;
    Op op;
    GraphMaker::Attributes attributes;
  };
  const std::vector<Unary> operators = {{"Abs", Op::Abs, {}},
                                        {"Clip", Op::Clip, {{"min", -0.5F}, {"max", 0.75F}}},
                                        {"ClipBelow", Op::Clip, {{"min", 0.0F}}},
                                        {"ClipAbove", Op::Clip, {{"max", 0.25F}}},
                                        {"ClipNothing", Op::Clip, {}},
                                        {"Elu", Op::Elu, {{"alpha", 0.75F}}},
                                        {"Erf", Op::Erf, {}},
                                        {"Exp", Op::Exp, {}},
                                        {"Gelu", Op::Gelu, {}},
                                        {"GeluTanh", Op::Gelu, {{"approximate", std::string("tanh")}}},
                                        {"HardSigmoid", Op::HardSigmoid, {}},
                                        {"HardSigmoidSteep", Op::HardSigmoid, {{"alpha", 0.75F}, {"beta", 0.25F}}},
                                        {"HardSwish", Op::HardSwish, {}},
                                        {"LeakyRelu", Op::LeakyRelu, {{"alpha", 0.125F}}},
                                        {"Neg", Op::Neg, {}},
                                        {"Relu", Op::Relu, {}},
                                        {"Sigmoid", Op::Sigmoid, {}},
                                        {"Sqrt", Op::Sqrt, {}},
                                        {"Tanh", Op::Tanh, {}}};
  std::vector<OperatorCase> cases;
  for (const Unary& unary : operators) {
    int number = 0;
    for (const Shape& image : {Shape{7}, Shape{5, 3}, Shape{3, 5, 4}, Shape{2, 3, 2, 3}}) {
      GraphMaker maker(image);
      const std::string src = unary.op == Op::Sqrt ? maker.node(Op::Clip, {"input"}, {{"min", 0.125F}}) : "input";
      const std::string out = maker.node(unary.op, {src}, unary.attributes);
      cases.push_back({unary.name + std::to_string(number++), std::move(maker).finish(out)});
    }
    GraphMaker maker(Shape{3, 5, 5});
    std::string value = maker.conv("input", Shape{20, 3, 3, 3});
    if (unary.op == Op::Sqrt) value = maker.node(Op::Clip, {value}, {{"min", 0.125F}});
    value = maker.node(unary.op, {value}, unary.attributes);
    const std::string out = maker.conv(value, Shape{4, 20, 1, 1});
    cases.push_back({unary.name + "BetweenConvs", std::move(maker).finish(out)});
  }
  return cases;
}

/// A weight whose elements are all `value`.
inline std::string constant_operand(GraphMaker& maker, const Shape& shape, double value) { return maker.weight("c", shape, value, 0.0); }

/// Cases for every elementwise operator of two inputs: stored and computed operands that repeat along any axes, on either side.
inline std::vector<OperatorCase> binary_cases() {
  std::vector<OperatorCase> cases;
  const Shape image{5, 3, 4};
  for (const Op op : {Op::Add, Op::Sub, Op::Mul, Op::Div, Op::Pow}) {
    const std::string name(op_entry(op).name);
    // Powers of positive numbers only, quotients by numbers that are not near zero.
    const auto left = [op](GraphMaker& maker, const std::string& value) { return op == Op::Pow ? maker.node(Op::Exp, {value}) : value; };
    const auto right = [op](GraphMaker& maker, const std::string& value) {
      if (op != Op::Div) return value;
      return maker.node(Op::Clip, {maker.node(Op::Abs, {value})}, {{"min", 0.25F}});
    };
    int number = 0;
    for (const Shape& stored :
         {Shape{}, Shape{1}, Shape{4}, Shape{3, 1}, Shape{5, 1, 1}, Shape{1, 5, 1, 4}, Shape{5, 3, 4}, Shape{1, 5, 3, 4}, Shape{1, 1, 1}}) {
      GraphMaker behind(image);
      const std::string a = behind.node(op, {left(behind, "input"), behind.weight("w", stored, 2.0, 0.25)});
      cases.push_back({name + "StoredRight" + std::to_string(number), std::move(behind).finish(a)});
      GraphMaker before(image);
      const std::string b = before.node(op, {before.weight("w", stored, 2.0, 0.25), right(before, "input")});
      cases.push_back({name + "StoredLeft" + std::to_string(number++), std::move(before).finish(b)});
    }
    const auto add = [&](const std::string& what, const Shape& shape, auto make) {
      for (const bool is_swapped : {false, true}) {
        GraphMaker maker(shape);
        auto [a, b] = make(maker);
        if (is_swapped) std::swap(a, b);
        const std::string out = maker.node(op, {left(maker, a), right(maker, b)});
        cases.push_back({name + what + (is_swapped ? "Swapped" : ""), std::move(maker).finish(out)});
      }
    };
    add("PerImageAndChannel", image,
        [](GraphMaker& maker) { return std::pair<std::string, std::string>("input", maker.node(Op::GlobalMaxPool, {"input"})); });
    add("PerPixel", image, [](GraphMaker& maker) {
      return std::pair<std::string, std::string>("input", maker.node(Op::ReduceMean, {"input"}, {{"axes", OperatorInts{1}}}));
    });
    add("BothRepeat", image, [](GraphMaker& maker) {
      return std::pair(maker.node(Op::ReduceMean, {"input"}, {{"axes", OperatorInts{1, 3}}}), maker.node(Op::GlobalMaxPool, {"input"}));
    });
    add("EqualShapes", Shape{6, 3},
        [](GraphMaker& maker) { return std::pair<std::string, std::string>("input", maker.node(Op::Abs, {"input"})); });
    // Blocked layouts, whose unused lanes must not come to matter.
    GraphMaker maker(Shape{3, 5, 5});
    const std::string a = maker.conv("input", Shape{20, 3, 3, 3});
    const std::string b = maker.conv("input", Shape{20, 3, 3, 3});
    std::string value =
        maker.node(op, {op == Op::Pow ? maker.node(Op::Sigmoid, {a}) : a, op == Op::Pow ? maker.node(Op::Tanh, {b}) : right(maker, b)});
    value = maker.node(op, {op == Op::Pow ? maker.node(Op::Abs, {value}) : value, maker.weight("w", Shape{20, 1, 1}, 2.0, 0.25)});
    const std::string out = maker.conv(value, Shape{4, 20, 1, 1});
    cases.push_back({name + "BetweenConvs", std::move(maker).finish(out)});
  }
  for (const double exponent : {2.0, 0.5, 3.0, -1.0, -0.5, 1.0}) {
    GraphMaker maker(image);
    const bool is_whole = exponent > 0.0 && exponent != 0.5;
    const std::string src = is_whole ? "input" : maker.node(Op::Clip, {"input"}, {{"min", 0.25F}});
    const std::string out = maker.node(Op::Pow, {src, constant_operand(maker, Shape{}, exponent)});
    cases.push_back({"PowConstant" + std::to_string(cases.size()), std::move(maker).finish(out)});
  }
  for (const Shape& slope : {Shape{1}, Shape{5, 1, 1}, Shape{5, 3, 4}, Shape{4}}) {
    GraphMaker maker(image);
    const std::string out = maker.node(Op::PRelu, {"input", maker.weight("slope", slope, 0.25, 0.25)});
    cases.push_back({"PRelu" + std::to_string(cases.size()), std::move(maker).finish(out)});
  }
  GraphMaker maker(image);
  std::string value = maker.node(Op::Mul, {"input", maker.weight("w", Shape{5, 1, 1})});
  value = maker.node(Op::Relu, {maker.node(Op::Add, {value, maker.weight("b", Shape{5, 1, 1})})});
  cases.push_back({"ScaleShiftRelu", std::move(maker).finish(value)});
  return cases;
}

/// Cases for the operators that move values.
inline std::vector<OperatorCase> rearranging_cases() {
  std::vector<OperatorCase> cases;
  const auto add = [&cases](const std::string& name, const Shape& image, Op op, GraphMaker::Attributes attributes) {
    GraphMaker maker(image);
    const std::string out = maker.node(op, {"input"}, std::move(attributes));
    cases.push_back({name, std::move(maker).finish(out)});
  };
  const Shape image{3, 5, 4};
  add("TransposeImage", image, Op::Transpose, {{"perm", OperatorInts{0, 2, 3, 1}}});
  add("TransposeMatrix", Shape{5, 4}, Op::Transpose, {{"perm", OperatorInts{0, 2, 1}}});
  add("TransposeHeads", Shape{6, 2, 4}, Op::Transpose, {{"perm", OperatorInts{0, 2, 1, 3}}});
  add("ReshapeMerge", image, Op::Reshape, {{"shape", OperatorInts{0, -1}}});
  add("ReshapeSplit", image, Op::Reshape, {{"shape", OperatorInts{-1, 3, 2, 10}}});
  add("ReshapeCopy", image, Op::Reshape, {{"shape", OperatorInts{0, 0, -1, 2}}});
  add("GatherChannels", image, Op::Gather, {{"axis", std::int64_t{1}}, {"indices", OperatorInts{2, 0, 2, -2}}});
  add("GatherColumns", image, Op::Gather, {{"axis", std::int64_t{-1}}, {"indices", OperatorInts{3}}});
  add("PadReflect", image, Op::Pad, {{"mode", std::string("reflect")}, {"pads", OperatorInts{0, 0, 4, 1, 0, 2, 1, 3}}});
  add("PadEdge", image, Op::Pad, {{"mode", std::string("edge")}, {"pads", OperatorInts{0, 1, 4, 0, 0, 0, 1, 7}}});
  add("GlobalMaxPool", Shape{19, 5, 7}, Op::GlobalMaxPool, {});
  add("MaxPoolDilated", Shape{5, 9, 8}, Op::MaxPool,
      {{"kernel_shape", OperatorInts{3, 2}}, {"dilations", OperatorInts{2, 3}}, {"strides", OperatorInts{1, 2}}});
  add("MaxPoolDilatedPadded", Shape{5, 9, 8}, Op::MaxPool,
      {{"kernel_shape", OperatorInts{3, 3}},
       {"dilations", OperatorInts{2, 2}},
       {"strides", OperatorInts{2, 2}},
       {"pads", OperatorInts{1, 2, 2, 1}},
       {"ceil_mode", std::int64_t{1}}});
  for (const std::int64_t axis : {1, 2, 3, -1}) {
    GraphMaker maker(image);
    const std::string other = maker.node(Op::Neg, {"input"});
    const std::string out = maker.node(Op::Concat, {"input", other, "input"}, {{"axis", axis}});
    cases.push_back({"Concat" + std::to_string(cases.size()), std::move(maker).finish(out)});
  }
  {
    GraphMaker maker(Shape{6});
    const std::string part =
        maker.node(Op::Slice, {"input"}, {{"starts", OperatorInts{1}}, {"ends", OperatorInts{3}}, {"axes", OperatorInts{1}}});
    const std::string out = maker.node(Op::Concat, {part, "input"}, {{"axis", std::int64_t{1}}});
    cases.push_back({"ConcatRows", std::move(maker).finish(out)});
  }
  for (const std::int64_t channels : {16, 20}) {
    GraphMaker maker(Shape{3, 6, 6});
    const std::string a = maker.node(Op::Relu, {maker.conv("input", Shape{channels, 3, 3, 3}, {{"pads", OperatorInts{1, 1, 1, 1}}})});
    const std::string b = maker.conv("input", Shape{2 * channels, 3, 1, 1});
    const std::string c = maker.node(Op::MaxPool, {a}, {{"kernel_shape", OperatorInts{3, 3}}, {"pads", OperatorInts{1, 1, 1, 1}}});
    const std::string joined = maker.node(Op::Concat, {a, b, c}, {{"axis", std::int64_t{1}}});
    const std::string out = maker.conv(joined, Shape{5, 4 * channels, 1, 1});
    cases.push_back({"ConcatConvs" + std::to_string(channels), std::move(maker).finish(out)});
  }
  {
    // ShuffleNet's shuffle of channels, between convolutions.
    GraphMaker maker(Shape{4, 6, 6});
    std::string value = maker.conv("input", Shape{16, 4, 1, 1});
    value = maker.node(Op::Reshape, {value}, {{"shape", OperatorInts{0, 2, 8, 6, 6}}});
    value = maker.node(Op::Transpose, {value}, {{"perm", OperatorInts{0, 2, 1, 3, 4}}});
    value = maker.node(Op::Reshape, {value}, {{"shape", OperatorInts{0, -1, 6, 6}}});
    const std::string out = maker.conv(value, Shape{8, 16, 1, 1});
    cases.push_back({"ChannelShuffle", std::move(maker).finish(out)});
  }
  return cases;
}

/// Cases for sums: matrix products, means, normalizations.
inline std::vector<OperatorCase> summing_cases() {
  std::vector<OperatorCase> cases;
  const auto add = [&cases](const std::string& name, const Shape& image, auto make) {
    GraphMaker maker(image);
    const std::string out = make(maker);
    cases.push_back({name, std::move(maker).finish(out)});
  };
  const auto single = [&add](const std::string& name, const Shape& image, Op op, GraphMaker::Attributes attributes) {
    add(name, image, [&](GraphMaker& maker) { return maker.node(op, {"input"}, attributes); });
  };
  add("MatMulRows", Shape{6}, [](GraphMaker& maker) { return maker.node(Op::MatMul, {"input", maker.weight("w", Shape{6, 5})}); });
  add("MatMulTokens", Shape{3, 6}, [](GraphMaker& maker) { return maker.node(Op::MatMul, {"input", maker.weight("w", Shape{6, 37})}); });
  add("MatMulBiasRelu", Shape{7, 6}, [](GraphMaker& maker) {
    const std::string product = maker.node(Op::MatMul, {"input", maker.weight("w", Shape{6, 21})});
    return maker.node(Op::Relu, {maker.node(Op::Add, {maker.weight("b", Shape{21}), product})});
  });
  add("MatMulBiasKept", Shape{7, 6}, [](GraphMaker& maker) {
    const std::string product = maker.node(Op::MatMul, {"input", maker.weight("w", Shape{6, 21})});
    return maker.node(Op::Add, {maker.node(Op::Add, {product, maker.weight("b", Shape{21})}), product});
  });
  add("MatMulComputed", Shape{4, 4}, [](GraphMaker& maker) { return maker.node(Op::MatMul, {"input", maker.node(Op::Neg, {"input"})}); });
  add("MatMulHeads", Shape{2, 5, 3}, [](GraphMaker& maker) {
    const std::string turned = maker.node(Op::Transpose, {"input"}, {{"perm", OperatorInts{0, 1, 3, 2}}});
    return maker.node(Op::MatMul, {"input", turned});
  });
  add("MatMulRepeats", Shape{2, 5, 3}, [](GraphMaker& maker) {
    const std::string one = maker.node(Op::ReduceMean, {"input"}, {{"axes", OperatorInts{1}}});
    const std::string turned = maker.node(Op::Transpose, {"input"}, {{"perm", OperatorInts{0, 1, 3, 2}}});
    return maker.node(Op::MatMul, {one, turned});
  });
  single("ReduceMeanLast", Shape{5, 7}, Op::ReduceMean, {{"axes", OperatorInts{-1}}});
  single("ReduceMeanPixels", Shape{5, 3, 4}, Op::ReduceMean, {{"axes", OperatorInts{2, 3}}, {"keepdims", std::int64_t{0}}});
  single("ReduceMeanTokens", Shape{5, 7}, Op::ReduceMean, {{"axes", OperatorInts{1}}, {"keepdims", std::int64_t{0}}});
  single("ReduceMeanApart", Shape{5, 3, 4}, Op::ReduceMean, {{"axes", OperatorInts{3, 1}}});
  single("ReduceMeanOfOne", Shape{1, 4}, Op::ReduceMean, {{"axes", OperatorInts{1}}, {"keepdims", std::int64_t{0}}});
  add("ReduceMeanBehindConv", Shape{3, 5, 5}, [](GraphMaker& maker) {
    return maker.node(Op::ReduceMean, {maker.conv("input", Shape{20, 3, 3, 3})}, {{"axes", OperatorInts{2, 3}}});
  });
  add("LayerNormalization", Shape{5, 33}, [](GraphMaker& maker) {
    return maker.node(Op::LayerNormalization, {"input", maker.weight("s", Shape{33}), maker.weight("b", Shape{33})});
  });
  add("LayerNormalizationNoShift", Shape{7}, [](GraphMaker& maker) {
    return maker.node(Op::LayerNormalization, {"input", maker.weight("s", Shape{7})}, {{"axis", std::int64_t{1}}, {"epsilon", 1e-3F}});
  });
  add("LayerNormalizationTwoAxes", Shape{3, 4, 5}, [](GraphMaker& maker) {
    return maker.node(Op::LayerNormalization, {"input", maker.weight("s", Shape{4, 5}), maker.weight("b", Shape{4, 5})},
                      {{"axis", std::int64_t{2}}});
  });
  add("LayerNormalizationFarFromZero", Shape{33}, [](GraphMaker& maker) {
    const std::string far = maker.node(Op::Add, {"input", constant_operand(maker, Shape{}, 8.0)});
    return maker.node(Op::LayerNormalization, {far, maker.weight("s", Shape{33}), maker.weight("b", Shape{33})});
  });
  for (const std::int64_t size : {1, 3, 4, 5, 2}) {
    single("LRN" + std::to_string(size), Shape{7, 3, 4}, Op::LRN, {{"size", size}, {"alpha", 0.5F}, {"beta", 0.75F}, {"bias", 2.0F}});
  }
  single("LRNBeta", Shape{16, 3, 4}, Op::LRN, {{"size", std::int64_t{5}}, {"alpha", 0.25F}, {"beta", 0.5F}});
  add("LRNBehindConv", Shape{3, 5, 5}, [](GraphMaker& maker) {
    const std::string value = maker.node(Op::Relu, {maker.conv("input", Shape{20, 3, 3, 3})});
    const std::string normal = maker.node(Op::LRN, {value}, {{"size", std::int64_t{5}}, {"alpha", 0.1F}});
    return maker.conv(normal, Shape{4, 20, 1, 1});
  });
  return cases;
}

/// An encoder block as it is exported from PyTorch: 6 tokens of 8 features, 2 heads.
inline Model encoder_block() {
  GraphMaker maker(Shape{6, 8});
  const auto linear = [&maker](const std::string& src, std::int64_t in, std::int64_t out) {
    return maker.node(Op::Add, {maker.node(Op::MatMul, {src, maker.weight("w", Shape{in, out}, 0.0, 0.3)}), maker.weight("b", Shape{out})});
  };
  const auto normalized = [&maker](const std::string& src) {
    return maker.node(Op::LayerNormalization, {src, maker.weight("s", Shape{8}, 1.0, 0.1), maker.weight("b", Shape{8}, 0.0, 0.1)});
  };
  const auto heads = [&](const std::string& src, OperatorInts perm) {
    const std::string split = maker.node(Op::Reshape, {linear(src, 8, 8)}, {{"shape", OperatorInts{0, 0, 2, 4}}});
    return maker.node(Op::Transpose, {split}, {{"perm", std::move(perm)}});
  };
  const std::string first = normalized("input");
  const std::string query = heads(first, {0, 2, 1, 3});
  const std::string key = heads(first, {0, 2, 3, 1});
  const std::string value = heads(first, {0, 2, 1, 3});
  const std::string scores = maker.node(Op::Div, {maker.node(Op::MatMul, {query, key}), constant_operand(maker, Shape{}, 2.0)});
  std::string mixed = maker.node(Op::MatMul, {maker.node(Op::Softmax, {scores}, {{"axis", std::int64_t{-1}}}), value});
  mixed = maker.node(Op::Transpose, {mixed}, {{"perm", OperatorInts{0, 2, 1, 3}}});
  mixed = maker.node(Op::Reshape, {mixed}, {{"shape", OperatorInts{0, 0, 8}}});
  const std::string middle = maker.node(Op::Add, {"input", linear(mixed, 8, 8)});
  const std::string hidden = maker.node(Op::Gelu, {linear(normalized(middle), 8, 16)});
  const std::string tokens = maker.node(Op::Add, {middle, linear(hidden, 16, 8)});
  std::string pooled = maker.node(Op::Gather, {normalized(tokens)}, {{"axis", std::int64_t{1}}, {"indices", OperatorInts{0}}});
  pooled = maker.node(Op::Reshape, {pooled}, {{"shape", OperatorInts{0, 8}}});
  const std::string out = maker.gemm(pooled, 8, 4);
  return std::move(maker).finish(out);
}

inline std::vector<OperatorCase> operator_cases() {
  std::vector<OperatorCase> all;
  for (auto make : {unary_cases, binary_cases, rearranging_cases, summing_cases}) {
    for (OperatorCase& each : make()) all.push_back(std::move(each));
  }
  return all;
}

}  // namespace bitwright::test
