// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/zoo/network_builder.h"

namespace bitwright {

// The three networks of Gupta 2015. Pixels stay in [0, 1] (no normalization): an empty transform.

Model zoo_mlp_1000() {
  NetworkBuilder net("mlp-1000", 1, 28);
  std::string value = net.flatten("flatten", "input");
  value = net.relu("relu1", net.linear("fc1", value, 28 * 28, 1000));
  value = net.relu("relu2", net.linear("fc2", value, 1000, 1000));
  value = net.linear("fc3", value, 1000, 10);
  return std::move(net).finish(value, {}, mnist_classes());
}

Model zoo_gupta_mnist_cnn() {
  NetworkBuilder net("gupta-mnist-cnn", 1, 28);
  std::string value = net.relu("relu1", net.conv("conv1", "input", 1, 8, {.kernel = 5}));  // 24 x 24
  value = net.max_pool("pool1", value, 2, 2);                                              // 12 x 12
  value = net.relu("relu2", net.conv("conv2", value, 8, 16, {.kernel = 5}));               // 8 x 8
  value = net.max_pool("pool2", value, 2, 2);                                              // 4 x 4
  value = net.flatten("flatten", value);
  value = net.relu("relu3", net.linear("fc1", value, 16 * 4 * 4, 128));
  value = net.linear("fc2", value, 128, 10);
  return std::move(net).finish(value, {}, mnist_classes());
}

// The paper gives neither padding nor rounding of the pools. Padding 2 keeps the maps of its 5 x 5 convolutions, and Caffe's rule (round
// up) halves them: 32 -> 16 -> 8 -> 4.
Model zoo_gupta_cifar_cnn() {
  NetworkBuilder net("gupta-cifar-cnn", 3, 32);
  std::string value = "input";
  std::int64_t channels = 3;
  for (const char* layer : {"1", "2", "3"}) {
    value = net.conv(std::string("conv") + layer, value, channels, 64, {.kernel = 5, .pad = 2});
    value = net.relu(std::string("relu") + layer, value);
    value = net.max_pool_ceil(std::string("pool") + layer, value, 3, 2);
    channels = 64;
  }
  value = net.flatten("flatten", value);
  value = net.linear("fc", value, 64 * 4 * 4, 10);
  return std::move(net).finish(value, {}, cifar10_classes());
}

}  // namespace bitwright
