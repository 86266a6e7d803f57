// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/packed_file.h"
#include "bitwright/core/rng.h"
#include "bitwright/model/safetensors_bytes.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>

namespace bitwright {
namespace {

using Ints = std::vector<std::int64_t>;

rc::Gen<NumberFormat> any_format() {
  return rc::gen::exec([]() -> NumberFormat {
    const auto bucket = *rc::gen::element<std::optional<std::int64_t>>(std::nullopt, 1, 3, 16, 1000);
    switch (*rc::gen::inRange(0, 5)) {
      case 0: {
        const int word = *rc::gen::inRange(2, 17);
        const int int_bits = *rc::gen::inRange(1, word);
        return FixedPoint{int_bits, word - int_bits};
      }
      case 1: return PowerOfTwo{*rc::gen::inRange(2, 9)};
      case 2: return Ternary{*rc::gen::element(TernaryLayout::five_digits, TernaryLayout::two_bits)};
      case 3: return Uniform{*rc::gen::inRange(1, 17), bucket};
      default: return Codebook{*rc::gen::inRange(2, 40), bucket};
    }
  });
}

Weight any_weight(const Shape& shape) {
  const Rng rng(*rc::gen::arbitrary<std::uint64_t>(), "weights");
  std::vector<float> values(static_cast<std::size_t>(shape.element_count()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(rng.normal(i));
  if (*rc::gen::inRange(0, 4) == 0) return FloatTensor{shape, std::move(values)};
  return quantize(*any_format(), shape, values);
}

std::string any_text() {
  // Every letter here is one that a careless writer gets wrong: quotes, backslash, an accent, a character beyond the first plane.
  return *rc::gen::container<std::string>(rc::gen::element('a', 'Z', '0', '.', '"', '\\', ' ', '/')) +
         *rc::gen::element<std::string>("", "\xc3\xa9", "\xf0\x9f\x98\x80");
}

/// Convolutions, then a fully connected layer, of random extents and formats.
Model any_model() {
  Model model;
  model.graph.name = "random" + any_text();
  std::int64_t channels = *rc::gen::inRange(1, 4);
  std::int64_t extent = *rc::gen::inRange(4, 9);
  model.graph.inputs = {{.name = "input", .shape = Shape{Shape::kDynamic, channels, extent, extent}}};
  std::string value = "input";
  const int layers = *rc::gen::inRange(0, 3);
  for (int layer = 0; layer < layers; ++layer) {
    const std::int64_t out = *rc::gen::inRange(1, 6);
    const std::string name = "conv" + std::to_string(layer);
    Node node{.name = name,
              .op = Op::Conv,
              .inputs = {value, name + ".weight"},
              .outputs = {name},
              .attributes = {{"kernel_shape", Ints{3, 3}}, {"pads", Ints{1, 1, 1, 1}}}};
    model.weights.emplace(name + ".weight", any_weight(Shape{out, channels, 3, 3}));
    if (*rc::gen::arbitrary<bool>()) {
      node.inputs.push_back(name + ".bias");
      model.weights.emplace(name + ".bias", any_weight(Shape{out}));
    }
    model.graph.nodes.push_back(std::move(node));
    model.graph.nodes.push_back(
        Node{.name = name + ".dropout", .op = Op::Dropout, .inputs = {name}, .outputs = {name + ".out"}, .attributes = {{"ratio", 0.25F}}});
    value = name + ".out";
    channels = out;
  }
  model.graph.nodes.push_back(Node{.name = "flatten", .op = Op::Flatten, .inputs = {value}, .outputs = {"flat"}, .attributes = {}});
  const std::int64_t classes = *rc::gen::inRange(1, 5);
  model.graph.nodes.push_back(Node{
      .name = "fc", .op = Op::Gemm, .inputs = {"flat", "fc.weight"}, .outputs = {"logits"}, .attributes = {{"transB", std::int64_t{1}}}});
  model.weights.emplace("fc.weight", any_weight(Shape{classes, channels * extent * extent}));
  model.graph.outputs = {"logits"};
  if (*rc::gen::arbitrary<bool>()) {
    for (std::int64_t i = 0; i < classes; ++i) model.class_names.push_back(any_text());
  }
  const int notes = *rc::gen::inRange(0, 4);
  for (int i = 0; i < notes; ++i) model.notes[any_text()] = any_text() + "\n";
  return model;
}

RC_GTEST_PROP(PackedFileProperty, UnpackInvertsPackAndThereIsOneFilePerModel, ()) {
  const Model model = any_model();
  const std::vector<std::byte> file = pack_model(model);
  const Model read = unpack_model(file, "random.bw");
  RC_ASSERT(read == model);
  RC_ASSERT(pack_model(read) == file);
  verify_grid(read);
}

RC_GTEST_PROP(PackedFileProperty, TheFileIsTheSumOfItsParts, ()) {
  const Model model = any_model();
  std::int64_t codes = 0;
  for (const PackedWeightSize& size : packed_weight_sizes(model)) {
    const Weight& weight = model.weights.at(size.name);
    const std::int64_t elements = weight_shape(weight).element_count();
    if (const auto* tensor = std::get_if<QuantizedTensor>(&weight)) {
      if (tensor->format() == NumberFormat(Ternary{})) {
        RC_ASSERT(size.code_bytes == (elements + 4) / 5);
      } else {
        RC_ASSERT(size.code_bytes == (elements * tensor->format().code_bits() + 7) / 8);
      }
    } else {
      RC_ASSERT(size.code_bytes == 4 * elements);
    }
    codes += size.code_bytes + size.parameter_bytes + size.directory_bytes;
  }
  RC_ASSERT(static_cast<std::int64_t>(pack_model(model).size()) > codes);
}

RC_GTEST_PROP(PackedFileProperty, SafetensorsKeepTheValues, ()) {
  const Model model = any_model();
  const auto tensors = parse_safetensors(format_safetensors(model), "random.safetensors");
  RC_ASSERT(tensors.size() == model.weights.size());
  for (const auto& [name, weight] : model.weights) {
    RC_ASSERT(tensors.at(name) == (FloatTensor{weight_shape(weight), weight_values(weight)}));
  }
}

}  // namespace
}  // namespace bitwright
