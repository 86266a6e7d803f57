// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/zoo/network_builder.h"

namespace bitwright {
namespace {

// He 2015, section 4.2: three stages of `blocks` basic blocks with 16, 32 and 64 channels; parameter-free shortcuts (option A).
Model resnet_cifar(const std::string& name, int blocks) {
  NetworkBuilder net(name, 3, 32);
  std::string value = net.relu("relu1", net.batch_norm("bn1", net.conv_without_bias("conv1", "input", 3, 16, {.pad = 1}), 16));
  std::int64_t in = 16;
  for (int stage = 1; stage <= 3; ++stage) {
    const std::int64_t out = std::int64_t{16} << (stage - 1);
    for (int block = 0; block < blocks; ++block) {
      const std::string layer = "layer" + std::to_string(stage) + "." + std::to_string(block);
      const std::int64_t stride = in == out ? 1 : 2;
      std::string branch = net.conv_without_bias(layer + ".conv1", value, in, out, {.stride = stride, .pad = 1});
      branch = net.relu(layer + ".relu1", net.batch_norm(layer + ".bn1", branch, out));
      branch = net.conv_without_bias(layer + ".conv2", branch, out, out, {.pad = 1});
      branch = net.batch_norm(layer + ".bn2", branch, out);
      std::string shortcut = value;
      if (stride != 1) {
        // Half of the new channels are new; option A puts a quarter of them on each side.
        shortcut = net.pad_channels(layer + ".shortcut.pad", net.halve(layer + ".shortcut.slice", shortcut), out / 4);
      }
      value = net.relu(layer + ".relu2", net.add(layer + ".add", branch, shortcut));
      in = out;
    }
  }
  value = net.flatten("flatten", net.global_average_pool("pool", value));
  value = net.linear("linear", value, 64, 10);
  return std::move(net).finish(value, imagenet_transform(), cifar10_classes());
}

}  // namespace

Model zoo_resnet20() { return resnet_cifar("resnet20", 3); }
Model zoo_resnet32() { return resnet_cifar("resnet32", 5); }
Model zoo_resnet44() { return resnet_cifar("resnet44", 7); }
Model zoo_resnet56() { return resnet_cifar("resnet56", 9); }

}  // namespace bitwright
