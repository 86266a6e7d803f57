// SPDX-License-Identifier: Apache-2.0
// Every network of the zoo that is too large for the tests that go over all of them: each is built once and held to all that they promise.
#include "bitwright/model/zoo.h"
#include "bitwright/runtime/session.h"
#include "bitwright/train/network.h"
#include "bitwright/train/tensor.h"
#include "tests/unit/runtime/small_models.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace bitwright::test {
namespace {

struct Published {
  std::size_t tensors;             ///< of the published state, without `num_batches_tracked`
  std::vector<std::string> names;  ///< some of them
};

// Numbers of tensors and names as `state_dict` of torchvision 0.14 gives them (googlenet without aux1 and aux2; wide-resnet-28-10: the
// implementation named in docs/models.md).
const std::map<std::string_view, Published>& published() {
  static const std::map<std::string_view, Published> kPublished = {
      {"wide-resnet-28-10",
       {12 * 10 + 3 + 1 + 4 + 2, {"block1.layer.0.convShortcut.weight", "block3.layer.3.bn2.running_var", "bn1.bias"}}},
      {"alexnet", {16, {"features.0.weight", "features.10.bias", "classifier.1.weight", "classifier.6.bias"}}},
      {"vgg16", {32, {"features.0.weight", "features.28.bias", "classifier.0.weight", "classifier.6.bias"}}},
      {"googlenet",
       {287,
        {"conv1.conv.weight", "conv3.bn.running_mean", "inception3a.branch2.1.conv.weight", "inception5b.branch4.1.bn.bias", "fc.bias"}}},
      {"resnet18", {102, {"conv1.weight", "bn1.running_var", "layer2.0.downsample.1.weight", "layer4.1.bn2.bias", "fc.weight"}}},
      {"resnet34", {182, {"layer3.5.conv2.weight", "layer2.0.downsample.0.weight", "fc.bias"}}},
      {"resnet50", {267, {"layer1.0.downsample.0.weight", "layer3.5.conv3.weight", "layer4.2.bn3.running_var", "fc.bias"}}},
      {"wide-resnet-50-2", {267, {"layer1.0.downsample.0.weight", "layer4.2.conv2.weight", "fc.bias"}}},
      {"mobilenet-v2",
       {262,
        {"features.0.0.weight", "features.1.conv.1.weight", "features.17.conv.3.running_mean", "features.18.1.bias", "classifier.1.bias"}}},
      {"squeezenet1-0", {52, {"features.0.weight", "features.12.expand3x3.bias", "classifier.1.weight"}}},
      {"squeezenet1-1", {52, {"features.3.squeeze.weight", "features.12.expand1x1.bias", "classifier.1.bias"}}}};
  return kPublished;
}

std::vector<ZooEntry> large_networks() {
  std::vector<ZooEntry> large;
  for (const ZooEntry& entry : zoo_registry()) {
    if (entry.size == ZooSize::large) large.push_back(entry);
  }
  return large;
}

// Drawing the 300 million values of the four largest networks would take longer than everything else here: theirs repeat after 2^16 values.
// `build_zoo_model` draws all networks by the same few lines.
Model model_of(const ZooEntry& entry) {
  if (entry.parameter_count < 30'000'000) return build_zoo_model(entry.name, 1);
  Model model = entry.build();
  const std::vector<float> drawn = normals("repeated", 1 << 16);
  for (const std::string& name : quantizable_weights(model.graph)) {
    auto& tensor = std::get<FloatTensor>(model.weights.at(name));
    const auto fan_in = static_cast<double>(tensor.shape.element_count() / tensor.shape[0]);
    const auto deviation = static_cast<float>(std::sqrt(2.0 / fan_in));
    // From another start for every row, so that no two rows are equal.
    for (std::size_t i = 0; i < tensor.values.size(); ++i) {
      const std::size_t row = i / static_cast<std::size_t>(fan_in);
      tensor.values[i] = deviation * drawn[(i + 7919 * row) % drawn.size()];
    }
  }
  return model;
}

class LargeZoo : public ::testing::TestWithParam<ZooEntry> {};

TEST_P(LargeZoo, IsAsPublishedAndRunsAsItTrains) {
  const ZooEntry& entry = GetParam();
  const Model model = model_of(entry);
  EXPECT_EQ(parameter_count(model), entry.parameter_count);
  EXPECT_EQ(model.graph.name, entry.name);
  const bool is_cifar = entry.dataset == "cifar10";
  const std::int64_t extent = is_cifar ? 32 : 224;
  EXPECT_EQ(model.graph.inputs.at(0), (GraphInput{"input", Shape{Shape::kDynamic, 3, extent, extent}}));
  EXPECT_EQ(infer_shapes(model.graph, weight_shapes(model), 7).at(model.graph.outputs.at(0)), (Shape{7, is_cifar ? 10 : 1000}));
  const Published& state = published().at(entry.name);
  EXPECT_EQ(model.weights.size(), state.tensors);
  for (const std::string& name : state.names) EXPECT_TRUE(model.weights.contains(name)) << name;
  std::int64_t layers = 0;
  for (const Node& node : model.graph.nodes) layers += weight_input(model.graph, node) ? 1 : 0;

  // What `validate` asks of a model, `Session` asks on its own.
  Session session(model, {.threads = 2, .batch = 1});
  const std::vector<float> image = random_input(session);
  const std::vector<float> run = run_session(session, image);
  Network network(model);
  const std::vector<float> trained = tensor_values(network.forward(to_tensor(Shape{1, 3, extent, extent}, image), Mode::eval));
  ASSERT_EQ(run.size(), trained.size());
  double distance = 0.0;
  double size = 0.0;
  for (std::size_t i = 0; i < run.size(); ++i) {
    distance += std::pow(static_cast<double>(run[i]) - trained[i], 2.0);
    size += std::pow(static_cast<double>(trained[i]), 2.0);
  }
  // A sum of n terms, n below 2^16 in every layer, errs by about u sqrt(n) < 2^8 u of its terms' norm when roundings are independent;
  // random weights pass errors on as they pass the signal. Two evaluations, `layers` layers, and a factor of two for what is not so random.
  EXPECT_GT(size, 0.0);
  EXPECT_LE(std::sqrt(distance / size), 4.0 * static_cast<double>(layers) * 0x1p8 * 0x1p-24);
  EXPECT_EQ(std::ranges::max_element(run) - run.begin(), std::ranges::max_element(trained) - trained.begin());
}

INSTANTIATE_TEST_SUITE_P(Zoo, LargeZoo, ::testing::ValuesIn(large_networks()), [](const auto& param) {
  std::string name(param.param.name);
  std::ranges::replace(name, '-', '_');
  return name;
});

}  // namespace
}  // namespace bitwright::test
