// SPDX-License-Identifier: Apache-2.0
// Our protobuf writer against protoc and the schema of Debian's libonnx-dev: what we write is what protobuf itself would write.
#include "bitwright/core/file.h"
#include "bitwright/model/zoo.h"
#include "bitwright/onnx/export.h"
#include "tests/support/temp_folder.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace bitwright {
namespace {

TEST(Protoc, DecodesAndEncodesOurFilesToTheSameBytes) {
  if (!std::filesystem::exists("/usr/include/onnx/onnx.proto") || std::system("protoc --version >/dev/null 2>&1") != 0) {
    GTEST_SKIP() << "the ONNX schema or protoc is not here; ./test installs libonnx-dev and protobuf-compiler";
  }
  for (const std::string_view name : {"resnet20", "gupta-cifar-cnn"}) {
    for (const std::string_view spec : {"ternary", "uniform:4/256", "codebook:5/256"}) {
      for (const OnnxForm form : {OnnxForm::float32, OnnxForm::qdq, OnnxForm::codebook}) {
        Model model = build_zoo_model(name, 1);
        model.class_names.clear();
        model.notes["method"] = "a test";
        for (const std::string& weight_name : quantizable_weights(model.graph)) {
          Weight& weight = model.weights.at(weight_name);
          const auto& floats = std::get<FloatTensor>(weight);
          weight = quantize(NumberFormat::parse(spec), floats.shape, floats.values);
        }
        const OnnxExport exported = export_onnx(model, form, LossPolicy::allow);
        const test::TempFolder folder;
        const std::string base = (folder.path() / "net").string();
        write_file_atomic(base + ".onnx", exported.file);
        const std::string protoc = "protoc -I /usr/include/onnx onnx.proto ";
        ASSERT_EQ(std::system((protoc + "--decode=onnx.ModelProto <" + base + ".onnx >" + base + ".txt").c_str()), 0);
        ASSERT_EQ(std::system((protoc + "--encode=onnx.ModelProto <" + base + ".txt >" + base + ".again").c_str()), 0);
        EXPECT_TRUE(read_file(base + ".again") == exported.file) << name << " " << spec << " " << onnx_form_name(form);
      }
    }
  }
}

}  // namespace
}  // namespace bitwright
