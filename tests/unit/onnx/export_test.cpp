// SPDX-License-Identifier: Apache-2.0
#include "bitwright/onnx/export.h"

#include "bitwright/model/fixed_point_model.h"
#include "bitwright/model/zoo.h"
#include "bitwright/onnx/import.h"
#include "bitwright/onnx/proto.h"
#include "bitwright/onnx/weight_graph.h"
#include "tests/support/expect_error.h"
#include "tests/support/fixed_models.h"
#include "tests/support/small_models.h"
#include "tests/unit/onnx/onnx_graph.h"

#include <gtest/gtest.h>

#include <cmath>

namespace bitwright {
namespace {

using test::expect_error;

constexpr OnnxForm kForms[] = {OnnxForm::float32, OnnxForm::qdq, OnnxForm::codebook};

Model quantized_zoo(std::string_view name, const NumberFormat& format) {
  Model model = build_zoo_model(name, 2);
  for (const std::string& weight_name : quantizable_weights(model.graph)) {
    Weight& weight = model.weights.at(weight_name);
    const auto& floats = std::get<FloatTensor>(weight);
    weight = quantize(format, floats.shape, floats.values);
  }
  return model;
}

/// The model with its weights as the floats that they stand for.
Model as_floats(Model model) {
  for (auto& [name, weight] : model.weights) weight = FloatTensor{weight_shape(weight), weight_values(weight)};
  return model;
}

TEST(OnnxExport, EveryZooNetworkComesBack) {
  for (const ZooEntry& entry : zoo_registry()) {
#if defined(__SANITIZE_ADDRESS__)
    // Hundreds of megabytes take minutes here, and are more of the same: their run without the sanitizer covers them.
    if (entry.parameter_count > 10'000'000) continue;
#endif
    const Model model = build_zoo_model(entry.name, 1);
    const OnnxExport exported = export_onnx(model, OnnxForm::float32);
    EXPECT_EQ(exported.loss_text(), "nothing");
    const Imported imported = import_onnx(exported.file, "net.onnx");
    EXPECT_TRUE(imported.model == model) << entry.name;
    EXPECT_TRUE(imported.remarks.empty()) << entry.name;
  }
}

// The codebook form gives the very codes back, the qdq form where it is exact; everywhere a second export is the first.
TEST(OnnxExport, EveryFormatComesBackFromEveryForm) {
  for (const RegisteredFormat& registered : registered_formats()) {
    for (const std::string_view sample : registered.samples) {
      const Model model = quantized_zoo("gupta-mnist-cnn", NumberFormat::parse(sample));
      for (const OnnxForm form : kForms) {
        SCOPED_TRACE(std::string(sample) + " " + std::string(onnx_form_name(form)));
        const OnnxExport exported = export_onnx(model, form, LossPolicy::allow);
        const Model back = import_onnx(exported.file, "net.onnx").model;
        EXPECT_TRUE(export_onnx(back, form, LossPolicy::allow).file == exported.file);
        if (form == OnnxForm::float32) {
          EXPECT_TRUE(back == as_floats(model));
        }
        if (form == OnnxForm::codebook) {
          EXPECT_TRUE(back == model);
        }
        if (form != OnnxForm::qdq) {
          EXPECT_EQ(exported.loss_text(), "nothing");
        }
        if (form == OnnxForm::qdq && exported.losses.empty()) {
          EXPECT_TRUE(as_floats(back) == as_floats(model));
        }
      }
    }
  }
}

TEST(OnnxExport, QdqIsExactWhereIntegersAre) {
  for (const std::string_view spec : {"fixed<2,14>", "fixed<2,6>", "fixed<2,2>", "pow2:2", "pow2:4", "pow2:5", "pow2:6"}) {
    EXPECT_EQ(export_onnx(quantized_zoo("gupta-mnist-cnn", NumberFormat::parse(spec)), OnnxForm::qdq).loss_text(), "nothing") << spec;
  }
  Ternary::Parameters equal{.positive_scale = 0.5F, .negative_scale = 0.5F, .threshold = 0.0F};
  const Model model = test::tiny_model(QuantizedTensor(Ternary{}, Shape{2, 3}, {0, 1, 2, 1, 0, 2}, equal));
  const OnnxExport exported = export_onnx(model, OnnxForm::qdq);
  EXPECT_EQ(exported.loss_text(), "nothing");
  EXPECT_TRUE(import_onnx(exported.file, "net.onnx").model == model);
  const onnx::ModelProto proto = onnx::parse_model(exported.file, "net.onnx");
  EXPECT_EQ(proto.opset_imports[0].second, 21);  // INT4
  EXPECT_EQ(proto.graph.nodes[0].op_type, "DequantizeLinear");
}

TEST(OnnxExport, UniformLosesRoundingOnly) {
  const OnnxExport exported = export_onnx(quantized_zoo("gupta-mnist-cnn", NumberFormat::parse("uniform:4/256")), OnnxForm::qdq);
  ASSERT_FALSE(exported.losses.empty());
  for (const WeightLoss& loss : exported.losses) EXPECT_FALSE(loss.is_beyond_rounding()) << loss.weight;
}

TEST(OnnxExport, RefusesToLoseMoreThanRounding) {
  Ternary::Parameters unequal{.positive_scale = 1.0F, .negative_scale = 0.3F, .threshold = 0.0F};
  const Model model = test::tiny_model(QuantizedTensor(Ternary{}, Shape{2, 3}, {0, 1, 2, 1, 0, 2}, unequal));
  // 0.3 lies between 38 / 127 and 39 / 127, nearer to the first.
  const std::string error = fmt::format("{:.3g}", std::abs(static_cast<double>(38.0F * (1.0F / 127.0F)) - static_cast<double>(0.3F)));
  expect_error(ErrorCode::unsupported,
               "tiny: the qdq form loses more than rounding (it loses at most " + error +
                   " in weight \"fc.weight\" (1 of the weights differ)); allow it with --allow-loss or choose the codebook form.",
               [&] { (void)export_onnx(model, OnnxForm::qdq); });
  const OnnxExport allowed = export_onnx(model, OnnxForm::qdq, LossPolicy::allow);
  ASSERT_EQ(allowed.losses.size(), 1U);
  const std::vector<float> found = weight_values(import_onnx(allowed.file, "net.onnx").model.weights.at("fc.weight"));
  const std::vector<float> wanted = weight_values(model.weights.at("fc.weight"));
  double largest = 0.0;
  for (std::size_t i = 0; i < wanted.size(); ++i) largest = std::max(largest, std::abs(static_cast<double>(found[i]) - wanted[i]));
  EXPECT_EQ(allowed.losses[0].largest_error, largest);
}

TEST(OnnxExport, FixedPointModelsLoseTheRoundingOfActivations) {
  const Model model = test::random_fixed_model(1);
  ASSERT_TRUE(is_fixed_point(model.graph));
  for (const OnnxForm form : kForms) {
    EXPECT_TRUE(test::error_of([&] { (void)export_onnx(model, form); }));
    const OnnxExport exported = export_onnx(model, form, LossPolicy::allow);
    EXPECT_TRUE(exported.loses_fixed_point);
    EXPECT_FALSE(is_fixed_point(import_onnx(exported.file, "net.onnx").model.graph));
  }
}

// Codes at their true width: 20 ternary weights of ResNet-20 in 1.6 bits each, and what is left is float batch normalization and graph.
TEST(OnnxExport, ATernaryResNetIsATenthOfTheFloatFile) {
  const Model model = quantized_zoo("resnet20", NumberFormat::parse("ternary"));
  const std::size_t codebook = export_onnx(model, OnnxForm::codebook).file.size();
  const std::size_t floats = export_onnx(model, OnnxForm::float32).file.size();
  EXPECT_LE(10 * codebook, floats) << codebook << " of " << floats;
  RecordProperty("codebook_bytes", static_cast<int>(codebook));
}

TEST(OnnxExport, KeepsTransformClassesAndNotes) {
  const Model model = test::tiny_model(FloatTensor{Shape{2, 3}, test::ramp(6)});
  const Imported imported = import_onnx(export_onnx(model, OnnxForm::float32).file, "net.onnx");
  EXPECT_EQ(imported.model.input_transform, model.input_transform);
  EXPECT_EQ(imported.model.class_names, model.class_names);
  EXPECT_EQ(imported.model.notes, model.notes);
}

// A weight whose pieces someone changed is not taken for what it was.
TEST(OnnxExport, AChangedWeightIsReadAsItStands) {
  const Model model = quantized_zoo("gupta-mnist-cnn", NumberFormat::parse("fixed<2,6>"));
  const OnnxExport exported = export_onnx(model, OnnxForm::qdq);  // the message views into it
  onnx::ModelProto proto = onnx::parse_model(exported.file, "net.onnx");
  for (onnx::TensorProto& tensor : proto.graph.initializers) {
    if (tensor.name == "conv1.weight/scale") tensor = test::onnx_floats(tensor.name, {}, {0.5F});
  }
  const Model back = import_onnx(onnx::write_model(proto), "net.onnx").model;
  const auto& weight = std::get<QuantizedTensor>(back.weights.at("conv1.weight"));
  const auto& before = std::get<QuantizedTensor>(model.weights.at("conv1.weight"));
  EXPECT_EQ(weight.format().name(), "codebook");
  for (std::size_t i = 0; i < before.codes().size(); ++i) ASSERT_EQ(weight.dequantize()[i], 0.5F * static_cast<float>(before.codes()[i]));
}

TEST(OnnxExport, NamesItsForms) {
  for (const OnnxForm form : kForms) EXPECT_EQ(parse_onnx_form(onnx_form_name(form)), form);
  expect_error(ErrorCode::usage, "form \"int8\" is not known (need float, qdq or codebook); correct it.",
               [] { (void)parse_onnx_form("int8"); });
}

}  // namespace
}  // namespace bitwright
