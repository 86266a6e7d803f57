// SPDX-License-Identifier: Apache-2.0
// Every way of the list to use the runtime half wrongly: one line, the documented exit code, nothing half-written.
#include "tests/e2e/support/bad_input.h"

#include "bitwright/model/zoo.h"
#include "tests/e2e/support/model_files.h"

#include <gtest/gtest.h>
#include <sys/mount.h>

#include <limits>

namespace bitwright::test {
namespace {

namespace fs = std::filesystem;
using Arguments = std::vector<std::string>;

constexpr int kUsage = 2;
constexpr int kBadFile = 3;
constexpr int kIo = 4;

/// A packed file changed by `change`, given to `bitwright verify`.
std::function<Arguments(const fs::path&)> verify_changed(std::function<void(std::string&)> change) {
  return [change](const fs::path& folder) {
    std::string file = small_packed_file();
    change(file);
    write_bytes(folder / "net.bw", file);
    return Arguments{"verify", "net.bw"};
  };
}

/// LeNet-5's weights with one tensor changed, given to `bitwright eval`.
std::function<Arguments(const fs::path&)> eval_changed_weights(std::function<void(Tensors&)> change) {
  return [change](const fs::path& folder) {
    Tensors tensors;
    for (const auto& [name, weight] : build_zoo_model("lenet5", 1).weights) tensors[name] = std::get<FloatTensor>(weight);
    change(tensors);
    write_safetensors_unchecked(folder / "weights.safetensors", tensors);
    return Arguments{"eval", "zoo:lenet5@weights.safetensors", "--data", "synthetic:10:20:20:1"};
  };
}

/// `bitwright export` of a good model into `output`.
std::function<Arguments(const fs::path&)> export_small(const std::string& output) {
  return [output](const fs::path& folder) {
    write_bytes(folder / "net.bw", small_packed_file());
    if (const fs::path parent = fs::path(output).parent_path(); parent == "locked") {
      fs::create_directory(folder / parent);
      fs::permissions(folder / parent, fs::perms::owner_read | fs::perms::owner_exec);
    }
    return Arguments{"export", "net.bw", "-o", output};
  };
}

/// MNIST's test files as `images` and `labels` say, given to `bitwright eval`.
std::function<Arguments(const fs::path&)> eval_idx(const IdxFile& images, const IdxFile& labels) {
  return [images, labels](const fs::path& folder) {
    write_idx(folder / "data/mnist/t10k-images-idx3-ubyte", images);
    write_idx(folder / "data/mnist/t10k-labels-idx1-ubyte", labels);
    write_bytes(folder / "net.bw", small_packed_file());
    return Arguments{"eval", "net.bw", "--data", "mnist"};
  };
}

std::function<Arguments(const fs::path&)> only(Arguments arguments) {
  return [arguments](const fs::path&) { return arguments; };
}

std::function<Arguments(const fs::path&)> with_small_model(Arguments arguments) {
  return [arguments](const fs::path& folder) {
    write_bytes(folder / "net.bw", small_packed_file());
    return arguments;
  };
}

const IdxFile kGoodImages{0x00000803, {10000, 28, 28}, 7840000};
const IdxFile kGoodLabels{0x00000801, {10000}, 10000};

const std::vector<BadInput>& rows() {
  static const std::vector<BadInput> all = {
      // Packed files.
      {"MissingFile", only({"eval", "absent.bw", "--data", "synthetic:10:20:20:1"}), kIo,
       ": absent.bw: cannot read the file (No such file or directory); check the path."},
      {"FolderInsteadOfFile",
       [](const fs::path& folder) {
         fs::create_directory(folder / "net.bw");
         return Arguments{"verify", "net.bw"};
       },
       kIo, ": net.bw: cannot read the file (Is a directory); name a file, not a folder."},
      {"EmptyFile", verify_changed([](std::string& file) { file.clear(); }), kBadFile,
       ": net.bw: the file ends too early (found 0 bytes, need at least 132); it is truncated, get it again."},
      {"Truncated", verify_changed([](std::string& file) { file.pop_back(); }), kBadFile,
       ": net.bw: the file has the wrong length (found 4153 bytes, need 4154); it is truncated or damaged, get it again."},
      {"BitFlippedInTheCodes", verify_changed([](std::string& file) { file.back() ^= 0x10; }), kBadFile,
       ": net.bw: the checksum of the tensors section is wrong; the file is damaged, get it again."},
      {"BitFlippedInTheHeader", verify_changed([](std::string& file) { file[28] ^= 0x01; }), kBadFile,
       ": net.bw: the checksum of the header is wrong; the file is damaged, get it again."},
      {"NewerVersion", verify_changed([](std::string& file) { file[10] = 2; }), kBadFile,
       ": net.bw: file version 2, this program reads up to 1; update bitwright."},
      {"WrongMagic", verify_changed([](std::string& file) { file.replace(0, 8, "GGUF\3\0\0\0"); }), kBadFile,
       ": net.bw: not a packed bitwright file (its first 8 bytes are not the magic); give a .bw file."},
      {"UnknownOperator", verify_changed([](std::string& file) { file = with_name_replaced(file, "Flatten", "Flattan"); }), kBadFile,
       ": net.bw (graph section): operator \"Flattan\" is not known (nearest: Flatten); known operators are Abs, Add, AveragePool, "
       "BatchNormalization, Clip, Concat, Conv, Div, Dropout, Elu, Erf, Exp, Flatten, Gather, Gelu, Gemm, GlobalAveragePool, "
       "GlobalMaxPool, "
       "HardSigmoid, HardSwish, LRN, LayerNormalization, LeakyRelu, MatMul, MaxPool, Mul, Neg, PRelu, Pad, Pow, ReduceMean, Relu, Reshape, "
       "Sigmoid, Slice, Softmax, Sqrt, Sub, Tanh, Transpose."},
      // Data sets.
      {"IdxFileOfWrongSize", eval_idx({0x00000803, {10000, 28, 28}, 7839999}, kGoodLabels), kBadFile,
       ": {folder}/data/mnist/t10k-images-idx3-ubyte: the file has the wrong size (found 7840015 bytes, need 7840016); run `bitwright data "
       "get "
       "mnist`."},
      {"IdxFileOfWrongMagic", eval_idx({0x00000801, {10000, 28, 28}, 7840000}, kGoodLabels), kBadFile,
       ": {folder}/data/mnist/t10k-images-idx3-ubyte: this is no IDX file of images (found magic 0x00000801, need 0x00000803); run "
       "`bitwright data get mnist`."},
      {"EmptyIdxFile", eval_idx({0x00000803, {0, 28, 28}, 0}, kGoodLabels), kBadFile,
       ": {folder}/data/mnist/t10k-images-idx3-ubyte: the data set is empty (found 0 images, need at least 1); run `bitwright data get "
       "mnist`."},
      {"EmptyDataSet", with_small_model({"eval", "net.bw", "--data", "synthetic:10:20:0:1"}), kBadFile,
       ": synthetic:10:20:0:1: the test split is empty (found 0 images, need at least 1); ask for more images."},
      {"UnknownDataSet", with_small_model({"eval", "net.bw", "--data", "mmist"}), kUsage,
       ": mmist: no data set has this name (need one of mnist, fashion-mnist, cifar10, cifar100, synthetic:CLASSES:TRAIN:TEST:SEED, "
       "folder:PATH@SIZE); "
       "did you mean `mnist`?"},
      {"DataSetNotHere", with_small_model({"eval", "net.bw", "--data", "mnist"}), kIo,
       ": mnist: the data set is not on this computer (looked in {folder}/data/mnist, {folder}/shared/mnist); run `bitwright data get "
       "mnist`."},
      {"CheckOfADataSetNotHere", only({"data", "check", "mmist"}), kUsage,
       ": mmist: no data set has this name (need one of mnist, fashion-mnist, cifar10, cifar100, synthetic:CLASSES:TRAIN:TEST:SEED, "
       "folder:PATH@SIZE); "
       "did you mean `mnist`?"},
      {"UnknownSplit", with_small_model({"eval", "net.bw", "--data", "synthetic:10:20:20:1", "--split", "dev"}), kUsage,
       ": dev: no split has this name (need train or test); write `train` or `test`."},
      {"ModelOfOtherImages", only({"eval", "zoo:resnet20", "--data", "synthetic:10:20:20:1"}), kUsage,
       ": zoo:resnet20: the model does not fit the images of data set \"synthetic:10:20:20:1\" (found input [3, 32, 32], need [1, 28, "
       "28]); "
       "choose a model or data set that fits."},
      {"TooManyClasses", with_small_model({"eval", "net.bw", "--data", "synthetic:11:20:20:1"}), kUsage,
       ": net.bw: the model does not tell the classes apart (found output [10], need one value for each of 11 classes); choose another "
       "model."},
      // Models and weights.
      {"UnknownZooName", only({"inspect", "zoo:lenet"}), kUsage,
       ": zoo network \"lenet\" is not known (nearest: lenet5); known networks are lenet5, mlp-1000, gupta-mnist-cnn, gupta-cifar-cnn, "
       "polino-teacher, polino-s1, polino-s2, polino-s3, resnet20, resnet32, resnet44, resnet56, wide-resnet-28-10, alexnet, vgg16, "
       "googlenet, resnet18, resnet34, resnet50, wide-resnet-50-2, mobilenet-v2, squeezenet1-0, squeezenet1-1."},
      {"NoModelAtAll", only({"inspect", "net.pt"}), kUsage,
       ": model \"net.pt\" is not something to open (need FILE.bw, FILE.onnx, zoo:NAME or zoo:NAME@FILE.safetensors); correct it."},
      // ONNX files; tests/unit/onnx/import_test.cpp has the graphs that make no sense.
      {"OnnxMissing", only({"inspect", "net.onnx"}), kIo, ": net.onnx: cannot read the file (No such file or directory); check the path."},
      {"OnnxEmpty",
       [](const fs::path& folder) {
         write_bytes(folder / "net.onnx", "");
         return Arguments{"import", "net.onnx", "-o", "net.bw"};
       },
       kBadFile, ": net.onnx: this is no ONNX model (found an empty file, need a version and a graph); give an .onnx file."},
      {"OnnxIsAWebPage",
       [](const fs::path& folder) {
         write_bytes(folder / "net.onnx", "<html>404: not found</html>");
         return Arguments{"eval", "net.onnx", "--data", "synthetic:10:20:20:1"};
       },
       kBadFile,
       ": net.onnx: not a whole ONNX file (a field has an unknown wire type at byte 1); it is damaged or no ONNX file, get it again."},
      {"OnnxTruncated",
       [](const fs::path& folder) {
         const std::string file = read_bytes(fs::path(BITWRIGHT_SOURCE_DIR) / "tests/fuzz/corpus/onnx_import/shapes.onnx");
         write_bytes(folder / "net.onnx", file.substr(0, 300));
         return Arguments{"import", "net.onnx", "-o", "net.bw"};
       },
       kBadFile,
       ": net.onnx: not a whole ONNX file (a field is longer than what is left at byte 5); it is damaged or no ONNX file, get it again."},
      {"OnnxOperatorUnknown",
       [](const fs::path& folder) {
         std::string file = read_bytes(fs::path(BITWRIGHT_SOURCE_DIR) / "tests/fuzz/corpus/onnx_import/shapes.onnx");
         file.replace(file.find("MatMul"), 6, "NoSuch");
         write_bytes(folder / "net.onnx", file);
         return Arguments{"import", "net.onnx", "-o", "net.bw"};
       },
       kBadFile,
       ": net.onnx: the network uses operators that are not supported (found NoSuch in node making \"mm\"); docs/onnx.md lists those that "
       "are."},
      {"ImportIntoAnotherKindOfFile", only({"import", "net.onnx", "-o", "net.pt"}), kUsage,
       ": net.pt: cannot import into this kind of file (found ending \".pt\", need .bw); choose another name."},
      {"OnnxFormUnknown", with_small_model({"export", "net.bw", "-o", "net.onnx", "--form", "int8"}), kUsage,
       ": form \"int8\" is not known (need float, qdq or codebook); correct it."},
      {"OnnxFormOfAnotherFile", with_small_model({"export", "net.bw", "-o", "out.bw", "--form", "qdq"}), kUsage,
       ": out.bw: --form and --allow-loss are for ONNX files (found ending \".bw\", need .onnx); leave them out."},
      {"ShapeMismatch", eval_changed_weights([](Tensors& tensors) {
         tensors["conv1.weight"] = {{20, 3, 5, 5}, std::vector<float>(1500)};
       }),
       kBadFile,
       ": weights.safetensors: tensor \"conv1.weight\" does not fit lenet5 (found [20, 3, 5, 5], need [20, 1, 5, 5]); give weights trained "
       "for "
       "this network."},
      {"WeightMissing", eval_changed_weights([](Tensors& tensors) { tensors.erase("fc1.bias"); }), kBadFile,
       ": weights.safetensors: weight \"fc1.bias\" of lenet5 is missing (need [500]); give weights trained for this network."},
      {"NanInWeights",
       eval_changed_weights([](Tensors& tensors) { tensors["conv2.weight"].values[7] = std::numeric_limits<float>::quiet_NaN(); }),
       kBadFile,
       ": weights.safetensors: tensor \"conv2.weight\" is not finite at index 7 (found nan, need a finite number); train again or repair "
       "the "
       "file."},
      {"NotASafetensorsFile",
       [](const fs::path& folder) {
         write_bytes(folder / "weights.safetensors", "<html>404: not found</html>");
         return Arguments{"inspect", "zoo:lenet5@weights.safetensors"};
       },
       kBadFile,
       ": weights.safetensors: the header is longer than allowed (found 3473469848023230524 bytes, need at most 19); the file is damaged, "
       "get it again."},
      // Writing.
      {"DiskFull",
       export_small("out.bw"),
       kIo,
       ": out.bw: cannot write the file (File too large); check the path and the disk.",
       {.largest_file_bytes = 1024}},
      {"DiskFullSafetensors",
       export_small("out.safetensors"),
       kIo,
       ": out.safetensors: cannot write the file (File too large); check the path and the disk.",
       {.largest_file_bytes = 1024}},
      {"ReadOnlyOutputFolder",
       export_small("locked/out.bw"),
       kIo,
       ": locked/out.bw: cannot write the file (Permission denied); choose a folder you may write to.",
       {.permissions = ProcessOptions::Permissions::obeyed}},
      {"OutputFolderMissing", export_small("absent/out.bw"), kIo,
       ": absent/out.bw: cannot write the file (No such file or directory); make the folder first."},
      {"OutputOfUnknownKind", export_small("out.gguf"), kUsage,
       ": out.gguf: cannot export to this kind of file (found ending \".gguf\", need .safetensors, .bw or .onnx); choose another name."},
      // Images and runs.
      {"NotAnImage",
       [](const fs::path& folder) {
         write_bytes(folder / "net.bw", small_packed_file());
         write_bytes(folder / "cat.png", "not a picture");
         return Arguments{"run", "net.bw", "cat.png"};
       },
       kBadFile, ": cat.png: this is no image that can be read (need PNG, JPEG, binary PGM or binary PPM); convert it."},
      {"ImageMissing", with_small_model({"run", "net.bw", "cat.png"}), kIo,
       ": cat.png: cannot read the file (No such file or directory); check the path."},
      {"RunMissing", only({"compare", "runs/one"}), kIo,
       ": runs/one: there is no such run folder; check the path, or start a run with `bitwright train`."},
      // The command line itself.
      {"NoCommand", only({}), kUsage, ": a command is required; run `bitwright --help`."},
      {"UnknownCommand", only({"evaluate"}), kUsage, ": unknown command \"evaluate\" (did you mean \"eval\"?); run `bitwright --help`."},
      {"UnknownOption", with_small_model({"eval", "net.bw", "--data", "mnist", "--thread", "2"}), kUsage,
       " eval: unknown option \"--thread\" (did you mean \"--threads\"?); run `bitwright eval --help`."},
      {"OptionMissing", with_small_model({"eval", "net.bw"}), kUsage, " eval: --data is required; run `bitwright eval --help`."},
      {"ArgumentMissing", only({"verify"}), kUsage, " verify: MODEL is required; run `bitwright verify --help`."},
      {"ArgumentTooMany", with_small_model({"verify", "net.bw", "other.bw"}), kUsage,
       " verify: unexpected argument \"other.bw\"; run `bitwright verify --help`."},
      {"ThreadsZero", with_small_model({"bench", "net.bw", "--threads", "0"}), kUsage,
       " bench: --threads: Value 0 not in range 1 to 1024; run `bitwright bench --help`."},
      {"ThreadsNoNumber", with_small_model({"bench", "net.bw", "--threads", "two"}), kUsage,
       " bench: --threads: Value two not in range 1 to 1024; run `bitwright bench --help`."},
      {"DataWithoutCommand", only({"data"}), kUsage, " data: A subcommand is required; run `bitwright data --help`."},
      {"CalibrationRuleUnknown",
       with_small_model({"calibrate", "net.bw", "--data", "synthetic:4:32:16:1", "--rule", "best", "-o", "out.bw"}), kUsage,
       ": calibration: unknown rule (found \"best\", need one of: minmax, percentile, mse); choose one."},
      {"ActivationsUnknown", with_small_model({"bench", "net.bw", "--activations", "int4"}), kUsage,
       ": activations: unknown type (found \"int4\", need one of: float32, bfloat16, int8); choose one."},
      {"VerifyOfAZooNetwork", only({"verify", "zoo:lenet5"}), kUsage,
       ": zoo:lenet5: nothing to verify (found a zoo network, need a packed file); pack it first with `bitwright export`."},
  };
  return all;
}

class BadInputTest : public ::testing::TestWithParam<BadInput> {};

TEST_P(BadInputTest, IsRefusedInOneLineAndLeavesNothing) { expect_refusal(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Runtime, BadInputTest, ::testing::ValuesIn(rows()), [](const auto& row) { return row.param.name; });

/// A file system of 16 KiB, for the life of this object.
class TinyDisk {
 public:
  explicit TinyDisk(fs::path where) : where_(std::move(where)) {
    fs::create_directory(where_);
    mounted_ = ::mount("tmpfs", where_.c_str(), "tmpfs", 0, "size=16k") == 0;
  }
  ~TinyDisk() {
    if (mounted_) ::umount2(where_.c_str(), MNT_DETACH);
  }
  TinyDisk(const TinyDisk&) = delete;
  TinyDisk& operator=(const TinyDisk&) = delete;
  [[nodiscard]] bool mounted() const noexcept { return mounted_; }

 private:
  fs::path where_;
  bool mounted_ = false;
};

TEST(FullDisk, IsNamedAndTheOldFileStays) {
  const TempFolder folder;
  const TinyDisk disk(folder / "disk");
  if (!disk.mounted()) GTEST_SKIP() << "a tiny file system needs root; the rows DiskFull and DiskFullSafetensors run everywhere";
  write_bytes(folder / "net.bw", small_packed_file());
  ASSERT_EQ(bitwright({"export", "net.bw", "-o", "disk/out.bw"}, {.working_folder = folder.path()}).exit_code, 0);
  const auto before = folder_content(folder.path());
  const ProcessResult result = bitwright({"export", "zoo:lenet5", "-o", "disk/out.bw"}, {.working_folder = folder.path()});
  EXPECT_EQ(result.exit_code, kIo);
  EXPECT_EQ(result.err,
            "bitwright: disk/out.bw: cannot write the file (No space left on device); free some space or choose another folder.\n");
  EXPECT_TRUE(folder_content(folder.path()) == before);
}

}  // namespace
}  // namespace bitwright::test
