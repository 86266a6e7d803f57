// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/zoo/network_builder.h"

#include <vector>

namespace bitwright {
namespace {

/// A plain CIFAR-10 network of Polino 2018, section 5 and appendix: stages of convolutions that each end in a pool, then fully connected
/// layers.
struct Plan {
  std::int64_t kernel = 3;
  std::vector<std::vector<std::int64_t>> stages;  ///< channels of the convolutions of each stage
  std::vector<std::int64_t> hidden;               ///< units of the fully connected layers before the classifier
  std::vector<float> dropout;                     ///< ratio behind each stage, then behind each hidden layer; empty: none
};

// The paper gives neither padding nor pool. Only convolutions that keep the map and 2 x 2 pools of stride 2 that halve it, with batch
// norm behind every convolution and every hidden layer, give its parameter counts. The order is the authors': conv, ReLU, batch norm, pool,
// dropout. Their program puts a ReLU on the logits as well, which we leave out: a softmax cannot push such a logit below 0.
Model plain_network(const std::string& name, const Plan& plan) {
  NetworkBuilder net(name, 3, 32);
  std::string value = "input";
  std::int64_t in = 3;
  std::int64_t extent = 32;
  int conv = 0;
  int block = 0;
  const auto drop = [&] {
    if (!plan.dropout.empty()) {
      value = net.dropout("dropout" + std::to_string(block + 1), value, plan.dropout.at(static_cast<std::size_t>(block)));
    }
    ++block;
  };
  for (std::size_t stage = 0; stage < plan.stages.size(); ++stage) {
    for (const std::int64_t out : plan.stages[stage]) {
      const std::string number = std::to_string(++conv);
      value = net.conv("conv" + number, value, in, out, {.kernel = plan.kernel, .pad = plan.kernel / 2});
      value = net.batch_norm("bn" + number, net.relu("relu" + number, value), out);
      in = out;
    }
    value = net.max_pool("pool" + std::to_string(stage + 1), value, 2, 2);
    extent /= 2;
    drop();
  }
  value = net.flatten("flatten", value);
  in *= extent * extent;
  int layer = 0;
  for (const std::int64_t out : plan.hidden) {
    ++layer;
    const std::string number = std::to_string(conv + layer);
    value = net.linear("fc" + std::to_string(layer), value, in, out);
    value = net.batch_norm("bn" + number, net.relu("relu" + number, value), out);
    drop();
    in = out;
  }
  value = net.linear("fc" + std::to_string(layer + 1), value, in, 10);
  return std::move(net).finish(value, cifar10_transform(), cifar10_classes());
}

}  // namespace

Model zoo_polino_s1() { return plain_network("polino-s1", {.kernel = 5, .stages = {{75, 50}, {50, 25}}, .hidden = {500}, .dropout = {}}); }
Model zoo_polino_s2() { return plain_network("polino-s2", {.kernel = 5, .stages = {{50, 25}, {25, 10}}, .hidden = {400}, .dropout = {}}); }
Model zoo_polino_s3() { return plain_network("polino-s3", {.kernel = 5, .stages = {{25, 10}, {10, 5}}, .hidden = {300}, .dropout = {}}); }

Model zoo_polino_teacher() {
  return plain_network("polino-teacher", {.kernel = 3,
                                          .stages = {{76, 76}, {126, 126}, {148, 148, 148, 148}},
                                          .hidden = {1200, 1200},
                                          .dropout = {0.2F, 0.3F, 0.35F, 0.4F, 0.4F}});
}

}  // namespace bitwright
