// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/zoo/network_builder.h"

namespace bitwright {

// Caffe's LeNet (examples/mnist/lenet.prototxt): ReLU only behind the first fully connected layer.
Model zoo_lenet5() {
  NetworkBuilder net("lenet5", 1, 28);
  std::string value = net.conv("conv1", "input", 1, 20, {.kernel = 5});  // 24 x 24
  value = net.max_pool("pool1", value, 2, 2);                            // 12 x 12
  value = net.conv("conv2", value, 20, 50, {.kernel = 5});               // 8 x 8
  value = net.max_pool("pool2", value, 2, 2);                            // 4 x 4
  value = net.flatten("flatten", value);
  value = net.linear("fc1", value, 50 * 4 * 4, 500);
  value = net.relu("relu1", value);
  value = net.linear("fc2", value, 500, 10);
  return std::move(net).finish(value, mnist_transform(), mnist_classes());
}

}  // namespace bitwright
