// SPDX-License-Identifier: Apache-2.0
// CIFAR-10 (Krizhevsky 2009, "Learning multiple layers of features from tiny images"), binary version.
#include "bitwright/data/cifar_images.h"
#include "bitwright/data/sources/sources.h"

namespace bitwright {
namespace {

constexpr std::uint64_t kBatchFileBytes = 10000 * (1 + 3072);

}  // namespace

// The second checksum of each file is of a copy that circulates with the test images sorted by index modulo 10 and a few images
// recompressed once; class counts and splits are the same.
DatasetSource source_cifar10() {
  return {
      .name = "cifar10",
      .files = {{"data_batch_1.bin",
                 kBatchFileBytes,
                 {"cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
                  "0def081c410489f98b3935c2d405fc7436d23377894a5d6a710ce1fad8082588"}},
                {"data_batch_2.bin",
                 kBatchFileBytes,
                 {"a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
                  "391e29575970440c9827ff440ffa1280ff77ca6eb244d5c1faba4cff7aa00dc5"}},
                {"data_batch_3.bin",
                 kBatchFileBytes,
                 {"bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
                  "121076ec0d3c7be3f1a6e3e94430ab5bb10bdb03bdf439c59ec721c0c800071e"}},
                {"data_batch_4.bin",
                 kBatchFileBytes,
                 {"014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
                  "ff251e0cad6f90227932ee79ff8eab028f9446e0bdebab02033743cff03b5147"}},
                {"data_batch_5.bin",
                 kBatchFileBytes,
                 {"755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
                  "fac1f56413e32aeecd42ad369e7f1955716e6e67e356724576492ef12a21a825"}},
                {"test_batch.bin",
                 kBatchFileBytes,
                 {"8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
                  "31816db370a1426bf3849eecd4c601c27f264f746a99f158be54dfb7f7fc384d"}}},
      .gzip_mirrors = {},
      .archives = {{"https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd", "cifar-10-batches-bin"}},
      .npm_packages = {},
      .debian_packages = {},
  };
}

std::unique_ptr<Dataset> open_cifar10(const std::filesystem::path& folder, Split split) {
  const DatasetSource& source = dataset_source("cifar10");
  CifarLayout layout{
      .name = "cifar10",
      .files = {},
      .label_bytes = 1,
      .class_names = {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"},
  };
  for (const DatasetFile& file : source.files) {
    const bool is_test = file.name == "test_batch.bin";
    if (is_test == (split == Split::test)) layout.files.push_back({folder / file.name, file.bytes});
  }
  return open_cifar_images(std::move(layout));
}

}  // namespace bitwright
