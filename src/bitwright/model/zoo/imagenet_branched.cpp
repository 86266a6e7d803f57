// SPDX-License-Identifier: Apache-2.0
// Networks of modules that join their branches side by side, with torchvision's layer names.
#include "bitwright/model/zoo/network_builder.h"

#include <string>
#include <utility>
#include <vector>

namespace bitwright {
namespace {

using ConvOptions = NetworkBuilder::ConvOptions;
using PoolOptions = NetworkBuilder::PoolOptions;

constexpr auto kRoundedUp = PoolOptions::Extent::rounded_up;

/// Convolution, batch norm, Relu: torchvision's BasicConv2d.
std::string basic_conv(NetworkBuilder& net, const std::string& name, const std::string& src, std::int64_t in, std::int64_t out,
                       ConvOptions options) {
  constexpr float kEpsilon = 1e-3F;
  const std::string value = net.conv_without_bias(name + ".conv", src, in, out, options);
  return net.relu(name + ".relu", net.batch_norm(name + ".bn", value, out, kEpsilon));
}

/// Channels of an inception module: behind each branch's convolutions, in order.
struct Inception {
  const char* name;
  std::int64_t point;
  std::int64_t reduced_second, second;
  std::int64_t reduced_third, third;
  std::int64_t pooled;
  [[nodiscard]] std::int64_t channels() const { return point + second + third + pooled; }
};

// The third branch is 3 x 3 where the paper has 5 x 5: torchvision's weights were trained so.
std::string inception(NetworkBuilder& net, const Inception& module, const std::string& src, std::int64_t in) {
  const std::string name = std::string("inception") + module.name;
  const ConvOptions point{.kernel = 1};
  const ConvOptions wide{.kernel = 3, .pad = 1};
  const std::string first = basic_conv(net, name + ".branch1", src, in, module.point, point);
  std::string second = basic_conv(net, name + ".branch2.0", src, in, module.reduced_second, point);
  second = basic_conv(net, name + ".branch2.1", second, module.reduced_second, module.second, wide);
  std::string third = basic_conv(net, name + ".branch3.0", src, in, module.reduced_third, point);
  third = basic_conv(net, name + ".branch3.1", third, module.reduced_third, module.third, wide);
  std::string fourth = net.max_pool(name + ".branch4.0", src, {.kernel = 3, .stride = 1, .pad = 1, .extent = kRoundedUp});
  fourth = basic_conv(net, name + ".branch4.1", fourth, in, module.pooled, point);
  return net.concat(name + ".concat", {first, second, third, fourth});
}

/// A fire module: squeeze to few channels, expand by 1 x 1 and 3 x 3 side by side.
std::string fire(NetworkBuilder& net, int index, const std::string& src, std::int64_t in, std::int64_t squeezed, std::int64_t expanded) {
  const std::string name = "features." + std::to_string(index);
  const std::string few = net.relu(name + ".squeeze_activation", net.conv(name + ".squeeze", src, in, squeezed, {.kernel = 1}));
  const std::string point = net.conv(name + ".expand1x1", few, squeezed, expanded, {.kernel = 1});
  const std::string wide = net.conv(name + ".expand3x3", few, squeezed, expanded, {.kernel = 3, .pad = 1});
  return net.concat(name + ".concat", {net.relu(name + ".expand1x1_activation", point), net.relu(name + ".expand3x3_activation", wide)});
}

struct Fire {
  int index;
  std::int64_t squeezed;
  std::int64_t expanded;  ///< by each half; 0 for a pool
};

Model squeezenet(const std::string& name, ConvOptions first, std::int64_t channels, const std::vector<Fire>& modules) {
  NetworkBuilder net(name, 3, 224);
  std::string value = net.relu("features.1", net.conv("features.0", "input", 3, channels, first));
  value = net.max_pool("features.2", value, {.kernel = 3, .stride = 2, .extent = kRoundedUp});
  for (const Fire& module : modules) {
    if (module.expanded == 0) {
      value = net.max_pool("features." + std::to_string(module.index), value, {.kernel = 3, .stride = 2, .extent = kRoundedUp});
      continue;
    }
    value = fire(net, module.index, value, channels, module.squeezed, module.expanded);
    channels = 2 * module.expanded;
  }
  value = net.dropout("classifier.0", value, 0.5F);
  value = net.relu("classifier.2", net.conv("classifier.1", value, channels, 1000, {.kernel = 1}));
  value = net.flatten("flatten", net.global_average_pool("classifier.3", value));
  return std::move(net).finish(value, imagenet_transform(), {});
}

}  // namespace

// torchvision's weights want pixels of mean 0.5 and deviation 0.5 (its `transform_input`).
Model zoo_googlenet() {
  NetworkBuilder net("googlenet", 3, 224);
  const PoolOptions half{.kernel = 3, .stride = 2, .extent = kRoundedUp};
  std::string value = basic_conv(net, "conv1", "input", 3, 64, {.kernel = 7, .stride = 2, .pad = 3});
  value = net.max_pool("maxpool1", value, half);  // 56 x 56
  value = basic_conv(net, "conv2", value, 64, 64, {.kernel = 1});
  value = basic_conv(net, "conv3", value, 64, 192, {.kernel = 3, .pad = 1});
  value = net.max_pool("maxpool2", value, half);  // 28 x 28
  std::int64_t in = 192;
  const auto add = [&](const std::vector<Inception>& modules) {
    for (const Inception& module : modules) {
      value = inception(net, module, value, in);
      in = module.channels();
    }
  };
  add({{"3a", 64, 96, 128, 16, 32, 32}, {"3b", 128, 128, 192, 32, 96, 64}});
  value = net.max_pool("maxpool3", value, half);  // 14 x 14
  add({{"4a", 192, 96, 208, 16, 48, 64},
       {"4b", 160, 112, 224, 24, 64, 64},
       {"4c", 128, 128, 256, 24, 64, 64},
       {"4d", 112, 144, 288, 32, 64, 64},
       {"4e", 256, 160, 320, 32, 128, 128}});
  value = net.max_pool("maxpool4", value, {.kernel = 2, .stride = 2, .extent = kRoundedUp});  // 7 x 7
  add({{"5a", 256, 160, 320, 32, 128, 128}, {"5b", 384, 192, 384, 48, 128, 128}});
  value = net.flatten("flatten", net.global_average_pool("avgpool", value));
  value = net.linear("fc", net.dropout("dropout", value, 0.2F), in, 1000);
  return std::move(net).finish(value, {.mean = {0.5F, 0.5F, 0.5F}, .std = {0.5F, 0.5F, 0.5F}}, {});
}

Model zoo_squeezenet1_0() {
  return squeezenet("squeezenet1-0", {.kernel = 7, .stride = 2}, 96,
                    {{3, 16, 64},
                     {4, 16, 64},
                     {5, 32, 128},
                     {6, 0, 0},
                     {7, 32, 128},
                     {8, 48, 192},
                     {9, 48, 192},
                     {10, 64, 256},
                     {11, 0, 0},
                     {12, 64, 256}});
}

Model zoo_squeezenet1_1() {
  return squeezenet("squeezenet1-1", {.kernel = 3, .stride = 2}, 64,
                    {{3, 16, 64},
                     {4, 16, 64},
                     {5, 0, 0},
                     {6, 32, 128},
                     {7, 32, 128},
                     {8, 0, 0},
                     {9, 48, 192},
                     {10, 48, 192},
                     {11, 64, 256},
                     {12, 64, 256}});
}

}  // namespace bitwright
