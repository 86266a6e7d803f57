// SPDX-License-Identifier: Apache-2.0
// Chains of convolutions and fully connected layers, with torchvision's layer names.
#include "bitwright/model/zoo/network_builder.h"

#include <string>
#include <vector>

namespace bitwright {
namespace {

std::string features(int index) { return "features." + std::to_string(index); }
std::string classifier(int index) { return "classifier." + std::to_string(index); }

}  // namespace

// torchvision's AlexNet is that of Krizhevsky 2014, "One weird trick". Its adaptive pool to 6 x 6 does nothing to images of 224 x 224.
Model zoo_alexnet() {
  NetworkBuilder net("alexnet", 3, 224);
  std::string value = net.relu(features(1), net.conv(features(0), "input", 3, 64, {.kernel = 11, .stride = 4, .pad = 2}));
  value = net.max_pool(features(2), value, 3, 2);  // 27 x 27
  value = net.relu(features(4), net.conv(features(3), value, 64, 192, {.kernel = 5, .pad = 2}));
  value = net.max_pool(features(5), value, 3, 2);  // 13 x 13
  value = net.relu(features(7), net.conv(features(6), value, 192, 384, {.pad = 1}));
  value = net.relu(features(9), net.conv(features(8), value, 384, 256, {.pad = 1}));
  value = net.relu(features(11), net.conv(features(10), value, 256, 256, {.pad = 1}));
  value = net.max_pool(features(12), value, 3, 2);  // 6 x 6
  value = net.dropout(classifier(0), net.flatten("flatten", value), 0.5F);
  value = net.relu(classifier(2), net.linear(classifier(1), value, 256 * 6 * 6, 4096));
  value = net.dropout(classifier(3), value, 0.5F);
  value = net.relu(classifier(5), net.linear(classifier(4), value, 4096, 4096));
  value = net.linear(classifier(6), value, 4096, 1000);
  return std::move(net).finish(value, imagenet_transform(), {});
}

// Simonyan 2014, configuration D. The adaptive pool to 7 x 7 does nothing to images of 224 x 224.
Model zoo_vgg16() {
  NetworkBuilder net("vgg16", 3, 224);
  const std::vector<std::vector<std::int64_t>> stages = {{64, 64}, {128, 128}, {256, 256, 256}, {512, 512, 512}, {512, 512, 512}};
  std::string value = "input";
  std::int64_t in = 3;
  int index = 0;
  for (const std::vector<std::int64_t>& stage : stages) {
    for (const std::int64_t out : stage) {
      value = net.conv(features(index), value, in, out, {.pad = 1});
      value = net.relu(features(index + 1), value);
      index += 2;
      in = out;
    }
    value = net.max_pool(features(index++), value, 2, 2);
  }
  value = net.flatten("flatten", value);
  value = net.relu(classifier(1), net.linear(classifier(0), value, 512 * 7 * 7, 4096));
  value = net.dropout(classifier(2), value, 0.5F);
  value = net.relu(classifier(4), net.linear(classifier(3), value, 4096, 4096));
  value = net.dropout(classifier(5), value, 0.5F);
  value = net.linear(classifier(6), value, 4096, 1000);
  return std::move(net).finish(value, imagenet_transform(), {});
}

}  // namespace bitwright
