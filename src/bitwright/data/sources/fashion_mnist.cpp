// SPDX-License-Identifier: Apache-2.0
// Fashion-MNIST (Xiao, Rasul, Vollgraf 2017; MIT licence). Same layout as MNIST; checksums are those of the uncompressed IDX files.
#include "bitwright/data/idx_images.h"
#include "bitwright/data/sources/sources.h"

namespace bitwright {

DatasetSource source_fashion_mnist() {
  return {
      .name = "fashion-mnist",
      .files = {{"train-images-idx3-ubyte", 47040016, {"c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"}},
                {"train-labels-idx1-ubyte", 60008, {"bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"}},
                {"t10k-images-idx3-ubyte", 7840016, {"5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"}},
                {"t10k-labels-idx1-ubyte", 10008, {"0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"}}},
      .gzip_mirrors = {"https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
                       "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"},
      .archives = {},
      .npm_packages = {},
      .debian_packages = {{"dataset-fashion-mnist", "/usr/share/datasets/fashion-mnist"}},
  };
}

std::unique_ptr<Dataset> open_fashion_mnist(const std::filesystem::path& folder, Split split) {
  return open_mnist_layout(folder, split, dataset_source("fashion-mnist"),
                           {"T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"});
}

}  // namespace bitwright
