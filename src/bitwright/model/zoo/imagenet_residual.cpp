// SPDX-License-Identifier: Apache-2.0
// Networks of residual blocks, with torchvision's layer names (wide-resnet-28-10: those of its usual PyTorch implementation).
#include "bitwright/model/zoo/network_builder.h"

#include <array>
#include <string>

namespace bitwright {
namespace {

/// What tells the residual networks of torchvision apart.
struct ResidualPlan {
  std::array<int, 4> blocks;
  enum class Block { basic, bottleneck } block = Block::basic;
  std::int64_t width = 1;  ///< factor of the inner channels of a bottleneck
};

std::string conv_norm(NetworkBuilder& net, const std::string& block, const std::string& number, const std::string& src, std::int64_t in,
                      std::int64_t out, NetworkBuilder::ConvOptions options) {
  return net.batch_norm(block + ".bn" + number, net.conv_without_bias(block + ".conv" + number, src, in, out, options), out);
}

Model residual_network(const std::string& name, const ResidualPlan& plan) {
  NetworkBuilder net(name, 3, 224);
  std::string value = net.conv_without_bias("conv1", "input", 3, 64, {.kernel = 7, .stride = 2, .pad = 3});
  value = net.relu("relu", net.batch_norm("bn1", value, 64));
  value = net.max_pool("maxpool", value, {.kernel = 3, .stride = 2, .pad = 1});  // 56 x 56
  const bool is_bottleneck = plan.block == ResidualPlan::Block::bottleneck;
  std::int64_t in = 64;
  for (int stage = 0; stage < 4; ++stage) {
    const std::int64_t planes = std::int64_t{64} << stage;
    const std::int64_t inner = planes * plan.width;
    const std::int64_t out = is_bottleneck ? 4 * planes : planes;
    for (int i = 0; i < plan.blocks[static_cast<std::size_t>(stage)]; ++i) {
      const std::string block = "layer" + std::to_string(stage + 1) + "." + std::to_string(i);
      const std::int64_t stride = stage > 0 && i == 0 ? 2 : 1;
      std::string branch;
      if (is_bottleneck) {
        branch = net.relu(block + ".relu1", conv_norm(net, block, "1", value, in, inner, {.kernel = 1}));
        branch = net.relu(block + ".relu2", conv_norm(net, block, "2", branch, inner, inner, {.kernel = 3, .stride = stride, .pad = 1}));
        branch = conv_norm(net, block, "3", branch, inner, out, {.kernel = 1});
      } else {
        branch = net.relu(block + ".relu1", conv_norm(net, block, "1", value, in, out, {.kernel = 3, .stride = stride, .pad = 1}));
        branch = conv_norm(net, block, "2", branch, out, out, {.kernel = 3, .pad = 1});
      }
      std::string shortcut = value;
      if (stride != 1 || in != out) {
        shortcut = net.conv_without_bias(block + ".downsample.0", value, in, out, {.kernel = 1, .stride = stride});
        shortcut = net.batch_norm(block + ".downsample.1", shortcut, out);
      }
      value = net.relu(block + ".relu", net.add(block + ".add", branch, shortcut));
      in = out;
    }
  }
  value = net.flatten("flatten", net.global_average_pool("avgpool", value));
  value = net.linear("fc", value, in, 1000);
  return std::move(net).finish(value, imagenet_transform(), {});
}

constexpr auto kBottleneck = ResidualPlan::Block::bottleneck;

}  // namespace

Model zoo_resnet18() { return residual_network("resnet18", {.blocks = {2, 2, 2, 2}}); }
Model zoo_resnet34() { return residual_network("resnet34", {.blocks = {3, 4, 6, 3}}); }
Model zoo_resnet50() { return residual_network("resnet50", {.blocks = {3, 4, 6, 3}, .block = kBottleneck}); }
Model zoo_wide_resnet_50_2() { return residual_network("wide-resnet-50-2", {.blocks = {3, 4, 6, 3}, .block = kBottleneck, .width = 2}); }

// Zagoruyko 2016: normalization and Relu come before each convolution, and a changed width takes its shortcut behind the first pair.
Model zoo_wide_resnet_28_10() {
  NetworkBuilder net("wide-resnet-28-10", 3, 32);
  std::string value = net.conv_without_bias("conv1", "input", 3, 16, {.pad = 1});
  std::int64_t in = 16;
  for (int stage = 1; stage <= 3; ++stage) {
    const std::int64_t out = std::int64_t{160} << (stage - 1);
    for (int i = 0; i < 4; ++i) {
      const std::string block = "block" + std::to_string(stage) + ".layer." + std::to_string(i);
      const std::int64_t stride = stage > 1 && i == 0 ? 2 : 1;
      const std::string active = net.relu(block + ".relu1", net.batch_norm(block + ".bn1", value, in));
      std::string branch = net.conv_without_bias(block + ".conv1", active, in, out, {.stride = stride, .pad = 1});
      branch = net.relu(block + ".relu2", net.batch_norm(block + ".bn2", branch, out));
      branch = net.conv_without_bias(block + ".conv2", branch, out, out, {.pad = 1});
      const std::string shortcut =
          in == out ? value : net.conv_without_bias(block + ".convShortcut", active, in, out, {.kernel = 1, .stride = stride});
      value = net.add(block + ".add", branch, shortcut);
      in = out;
    }
  }
  value = net.relu("relu", net.batch_norm("bn1", value, in));
  value = net.flatten("flatten", net.global_average_pool("pool", value));
  value = net.linear("fc", value, in, 10);
  return std::move(net).finish(value, cifar10_transform(), cifar10_classes());
}

// Sandler 2018, table 2: expansion, channels, repeats, first stride.
Model zoo_mobilenet_v2() {
  struct Row {
    std::int64_t expansion, channels;
    int repeats;
    std::int64_t stride;
  };
  constexpr std::array<Row, 7> kRows = {Row{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                                        {6, 96, 3, 1},    {6, 160, 3, 2}, {6, 320, 1, 1}};
  NetworkBuilder net("mobilenet-v2", 3, 224);
  const auto active = [&net](const std::string& name, const std::string& src, std::int64_t in, std::int64_t out,
                             NetworkBuilder::ConvOptions options) {
    return net.relu6(name + ".2", net.batch_norm(name + ".1", net.conv_without_bias(name + ".0", src, in, out, options), out));
  };
  std::string value = active("features.0", "input", 3, 32, {.kernel = 3, .stride = 2, .pad = 1});
  std::int64_t in = 32;
  int index = 1;
  for (const Row& row : kRows) {
    for (int i = 0; i < row.repeats; ++i, ++index) {
      const std::string block = "features." + std::to_string(index) + ".conv.";
      const std::int64_t stride = i == 0 ? row.stride : 1;
      const std::int64_t inner = in * row.expansion;
      std::string branch = value;
      int part = 0;
      if (row.expansion != 1) branch = active(block + std::to_string(part++), branch, in, inner, {.kernel = 1});
      branch = active(block + std::to_string(part++), branch, inner, inner, {.kernel = 3, .stride = stride, .pad = 1, .group = inner});
      branch = net.conv_without_bias(block + std::to_string(part), branch, inner, row.channels, {.kernel = 1});
      branch = net.batch_norm(block + std::to_string(part + 1), branch, row.channels);
      const bool has_shortcut = stride == 1 && in == row.channels;
      value = has_shortcut ? net.add("features." + std::to_string(index) + ".add", branch, value) : branch;
      in = row.channels;
    }
  }
  value = active("features.18", value, in, 1280, {.kernel = 1});
  value = net.flatten("flatten", net.global_average_pool("avgpool", value));
  value = net.linear("classifier.1", net.dropout("classifier.0", value, 0.2F), 1280, 1000);
  return std::move(net).finish(value, imagenet_transform(), {});
}

}  // namespace bitwright
