// SPDX-License-Identifier: Apache-2.0
// What export_onnx writes, run by ONNX Runtime: the same answers as our own runtime, logits within the derived bound of docs/runtime.md.
// Real images where the data set is here; otherwise random ones. BITWRIGHT_INTEROP_WHOLE=1 takes whole test sets, every zoo network and
// every network in results/.
#include "tests/interop/onnx_runtime.h"
#include "bitwright/core/file.h"
#include "bitwright/core/rng.h"
#include "bitwright/data/dataset.h"
#include "bitwright/model/model_source.h"
#include "bitwright/model/zoo.h"
#include "bitwright/onnx/export.h"
#include "bitwright/onnx/import.h"
#include "bitwright/onnx/proto.h"
#include "bitwright/runtime/reference.h"
#include "bitwright/runtime/session.h"
#include "tests/support/temp_folder.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>

namespace bitwright {
namespace {

namespace fs = std::filesystem;

const fs::path kSource = BITWRIGHT_SOURCE_DIR;

bool is_whole() { return std::getenv("BITWRIGHT_INTEROP_WHOLE") != nullptr; }

/// Inputs of `count` images for a model: the test split of the set that fits it, random values where there is none.
std::vector<float> inputs_for(const Session& session, std::int64_t count) {
  const Shape& shape = session.input_shape();
  const auto size = static_cast<std::size_t>(shape.element_count());
  for (const char* name : {"mnist", "cifar10"}) {
    try {
      const std::unique_ptr<Dataset> dataset = open_dataset(name, Split::test);
      if (dataset->image_shape() != shape) continue;
      count = count == 0 ? dataset->size() : std::min(count, dataset->size());
      std::vector<float> values(static_cast<std::size_t>(count) * size);
      std::vector<std::uint8_t> pixels(size);
      for (std::int64_t i = 0; i < count; ++i) {
        (void)dataset->read(i, pixels);
        transform_image(session.model().input_transform, pixels, shape,
                        std::span(values).subspan(static_cast<std::size_t>(i) * size, size));
      }
      return values;
    } catch (const Error&) {
      // Not here; random values do as well.
    }
  }
  const Rng rng(1, "interop.input");
  std::vector<float> values(static_cast<std::size_t>(count == 0 ? 512 : count) * size);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(rng.normal(i));
  return values;
}

std::vector<float> run_session(Session& session, std::span<const float> input) {
  const auto size = static_cast<std::size_t>(session.input_shape().element_count());
  const auto classes = static_cast<std::size_t>(session.output_shape().element_count());
  const std::size_t images = input.size() / size;
  std::vector<float> output(images * classes);
  for (std::size_t first = 0; first < images; first += 100) {
    const std::size_t count = std::min<std::size_t>(100, images - first);
    session.prepare(static_cast<std::int64_t>(count));
    session.run(input.subspan(first * size, count * size), std::span(output).subspan(first * classes, count * classes));
  }
  return output;
}

/// The model that the file itself computes: without the notes that restore our formats, DequantizeLinear is read as any file's is.
Model as_file_computes(const OnnxExport& exported, OnnxForm form) {
  if (form != OnnxForm::qdq) return import_onnx(exported.file, "net.onnx").model;
  onnx::ModelProto proto = onnx::parse_model(exported.file, "net.onnx");
  std::erase_if(proto.metadata, [](const auto& entry) { return entry.first.starts_with("bitwright.weight."); });
  return import_onnx(onnx::write_model(proto), "net.onnx").model;
}

void expect_same_answers(const Model& model, OnnxForm form, std::int64_t images) {
  const OnnxExport exported = export_onnx(model, form, LossPolicy::allow);
  const Model judged = as_file_computes(exported, form);
  Session session(judged, {.threads = 1, .batch = 100});
  const std::vector<float> input = inputs_for(session, images);
  const std::vector<float> ours = run_session(session, input);
  const test::TempFolder folder;
  write_file_atomic(folder.path() / "net.onnx", exported.file);
  const std::vector<float> theirs = test::run_onnx_runtime(folder.path() / "net.onnx", folder.path(), session.input_shape(), input);
  ASSERT_EQ(theirs.size(), ours.size());

  const auto classes = static_cast<std::ptrdiff_t>(session.output_shape().element_count());
  for (auto at = std::ptrdiff_t{0}; at < std::ssize(ours); at += classes) {
    const auto best = [&](const std::vector<float>& logits) {
      return std::max_element(logits.begin() + at, logits.begin() + at + classes) - logits.begin() - at;
    };
    ASSERT_EQ(best(theirs), best(ours)) << "image " << at / classes;
  }
  // Any float32 evaluation of the graph lies within this bound of the exact answer (R1 to R9).
  constexpr std::size_t kChecked = 2;
  std::vector<double> bound;
  const auto size = static_cast<std::size_t>(session.input_shape().element_count());
  const std::vector<double> exact = run_reference(judged, std::span(input).first(kChecked * size), kChecked, &bound);
  for (std::size_t i = 0; i < exact.size(); ++i) EXPECT_LE(std::abs(theirs[i] - exact[i]), bound[i]) << "output " << i;
}

struct Case {
  std::string name;
  std::string source;  ///< what `open_model` takes
  std::int64_t images = 512;
};

void PrintTo(const Case& row, std::ostream* stream) { *stream << row.name; }

/// Whether a model is compared by default: the first seed, of the variants that its experiment names under `checked` if it names any.
bool is_chosen(const std::string& experiment, const std::string& variant, const std::string& seed) {
  const auto spec = nlohmann::json::parse(std::ifstream(kSource / "results" / experiment / "experiment.json"));
  const auto checked = spec.value("checked", std::vector<std::string>{});
  return seed == "seed-1" && (checked.empty() || std::ranges::find(checked, variant) != checked.end());
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const ZooEntry& entry : zoo_registry()) {
    const std::int64_t count = entry.size == ZooSize::large ? 4 : 32;
    if (entry.parameter_count < 6000000 || is_whole())
      all.push_back({"zoo_" + std::string(entry.name), "zoo:" + std::string(entry.name), count});
  }
  for (const auto& file : fs::recursive_directory_iterator(kSource / "results")) {
    if (file.path().extension() != ".bw") continue;
    const fs::path path = fs::relative(file.path(), kSource / "results");  // EXPERIMENT/VARIANT/SEED/model.bw
    const std::string experiment = path.begin()->string();
    const fs::path folder = path.parent_path();
    if (!is_whole() && !is_chosen(experiment, folder.parent_path().filename().string(), folder.filename().string())) continue;
    // Whole test sets of MNIST are quick.
    all.push_back({folder.string(), file.path().string(), is_whole() || experiment.starts_with("mnist") ? 0 : 512});
  }
  for (Case& row : all) {
    for (char& c : row.name) {
      if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
    }
  }
  std::ranges::sort(all, {}, &Case::name);
  return all;
}

class OnnxRuntime : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (!test::has_onnx_runtime()) GTEST_SKIP() << "onnxruntime-node is not here; ./test installs it";
  }
};

TEST_P(OnnxRuntime, GivesTheSameAnswersInEveryForm) {
  const Model model = open_model(GetParam().source);
  const bool is_float =
      std::ranges::none_of(model.weights, [](const auto& entry) { return std::holds_alternative<QuantizedTensor>(entry.second); });
  for (const OnnxForm form : {OnnxForm::codebook, OnnxForm::qdq, OnnxForm::float32}) {
    if (is_float && form != OnnxForm::float32) continue;  // the same bytes
    SCOPED_TRACE(onnx_form_name(form));
    // Forms that compute the same weights differ in how they are unpacked only: the whole set once, a slice for the others.
    const std::int64_t images = is_float || form == OnnxForm::codebook || is_whole()
                                    ? GetParam().images
                                    : std::min<std::int64_t>(GetParam().images == 0 ? 128 : GetParam().images, 128);
    expect_same_answers(model, form, images);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, OnnxRuntime, testing::ValuesIn(cases()), [](const auto& row) { return row.param.name; });

TEST_F(OnnxRuntime, OpensEveryNumberFormatInEveryForm) {
  for (const RegisteredFormat& format : registered_formats()) {
    for (const std::string_view sample : format.samples) {
      Model model = build_zoo_model("gupta-mnist-cnn", 3);
      for (const std::string& name : quantizable_weights(model.graph)) {
        Weight& weight = model.weights.at(name);
        const auto& floats = std::get<FloatTensor>(weight);
        weight = quantize(NumberFormat::parse(sample), floats.shape, floats.values);
      }
      for (const OnnxForm form : {OnnxForm::codebook, OnnxForm::qdq}) {
        SCOPED_TRACE(std::string(sample) + " as " + std::string(onnx_form_name(form)));
        expect_same_answers(model, form, 4);
      }
    }
  }
}

}  // namespace
}  // namespace bitwright
