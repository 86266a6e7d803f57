// SPDX-License-Identifier: Apache-2.0
// ONNX files at the command line: in, out, and wherever MODEL stands.
#include "bitwright/model/model_source.h"
#include "bitwright/model/packed_file.h"
#include "tests/e2e/support/model_files.h"
#include "tests/e2e/support/process.h"
#include "tests/support/temp_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bitwright::test {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

class OnnxTest : public TempFolderTest {
 protected:
  std::string run(std::vector<std::string> arguments) const {
    const ProcessResult result = bitwright(std::move(arguments), {.working_folder = folder()});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  }
};

TEST_F(OnnxTest, ANetworkLeavesAndComesBack) {
  EXPECT_THAT(run({"export", "zoo:lenet5", "-o", "net.onnx"}), EndsWith(" bytes; the float form loses nothing\n"));
  EXPECT_THAT(run({"import", "net.onnx", "-o", "net.bw"}), EndsWith(" bytes, 8 nodes, 431080 parameters\n"));
  EXPECT_EQ(load_packed(folder() / "net.bw"), open_model("zoo:lenet5"));
  run({"export", "net.bw", "-o", "again.onnx"});
  EXPECT_EQ(read_bytes(folder() / "again.onnx"), read_bytes(folder() / "net.onnx"));
}

TEST_F(OnnxTest, AnOnnxFileIsAModel) {
  write_bytes(folder() / "net.bw", small_packed_file());
  EXPECT_THAT(run({"export", "net.bw", "-o", "net.onnx", "--form", "codebook"}), EndsWith("; the codebook form loses nothing\n"));
  EXPECT_THAT(run({"inspect", "net.onnx"}), HasSubstr("pow2:5"));
  run({"eval", "net.bw", "--data", "synthetic:10:10:64:1", "--predictions", "first.txt"});
  run({"eval", "net.onnx", "--data", "synthetic:10:10:64:1", "--predictions", "second.txt"});
  EXPECT_EQ(read_bytes(folder() / "first.txt"), read_bytes(folder() / "second.txt"));
  run({"export", "net.onnx", "-o", "back.bw"});
  EXPECT_EQ(read_bytes(folder() / "back.bw"), read_bytes(folder() / "net.bw"));
}

TEST_F(OnnxTest, TheFormsSayWhatTheyLose) {
  write_bytes(folder() / "net.bw", small_packed_file());
  EXPECT_THAT(run({"export", "net.bw", "-o", "qdq.onnx", "--form", "qdq"}), EndsWith("; the qdq form loses nothing\n"));
  const ProcessResult refused = bitwright({"verify", "qdq.onnx"}, {.working_folder = folder()});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("nothing to verify (found an ONNX file, need a packed file)"));
}

}  // namespace
}  // namespace bitwright::test
