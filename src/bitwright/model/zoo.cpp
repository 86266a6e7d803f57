// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/zoo.h"

#include "bitwright/core/error.h"
#include "bitwright/core/nearest_name.h"
#include "bitwright/core/rng.h"
#include "bitwright/model/zoo/network_builder.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <thread>
#include <vector>

namespace bitwright {
namespace {

constexpr std::array kRegistry = {
#define BITWRIGHT_ZOO(name, builder, parameters, dataset, size, source) \
  ZooEntry{name, &builder, parameters, dataset, ZooSize::size, source},
#include "bitwright/model/zoo.inc"
#undef BITWRIGHT_ZOO
};

constexpr std::size_t kValuesWorthThreads = 1 << 20;

// He 2015: deviation sqrt(2 / fan-in), drawn in double and rounded once.
void initialize(FloatTensor& tensor, const Rng& rng) {
  std::int64_t fan_in = 1;
  for (std::size_t axis = 1; axis < tensor.shape.rank(); ++axis) fan_in *= tensor.shape[axis];
  const double deviation = std::sqrt(2.0 / static_cast<double>(fan_in));
  const auto draw = [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) tensor.values[i] = static_cast<float>(deviation * rng.normal(i));
  };
  // Every value is addressed by its index, so who draws it does not matter.
  const std::size_t count = tensor.values.size();
  const std::size_t threads = count < kValuesWorthThreads ? 1 : std::max(1U, std::thread::hardware_concurrency());
  std::vector<std::jthread> others;
  for (std::size_t i = 1; i < threads; ++i) others.emplace_back(draw, count * i / threads, count * (i + 1) / threads);
  draw(0, count / threads);
}

}  // namespace

std::span<const ZooEntry> zoo_registry() noexcept { return kRegistry; }

Model build_zoo_model(std::string_view name, std::uint64_t seed) {
  std::vector<std::string> known;
  for (const ZooEntry& entry : kRegistry) {
    known.emplace_back(entry.name);
    if (entry.name != name) continue;
    Model model = entry.build();
    const Rng rng(seed, "init");
    for (const std::string& weight : quantizable_weights(model.graph)) {
      initialize(std::get<FloatTensor>(model.weights.at(weight)), rng.split(weight));
    }
    return model;
  }
  fail(ErrorCode::usage, "zoo network \"{}\" is not known (nearest: {}); known networks are {}.", name, nearest_name(name, known),
       join_names(known));
}

std::int64_t parameter_count(const Model& model) {
  std::set<std::string_view> statistics;
  for (const Node& node : model.graph.nodes) {
    if (node.op != Op::BatchNormalization) continue;
    for (std::size_t input = 3; input < node.inputs.size(); ++input) statistics.insert(node.inputs[input]);
  }
  std::int64_t count = 0;
  for (const auto& [name, weight] : model.weights) {
    if (!statistics.contains(name)) count += weight_shape(weight).element_count();
  }
  return count;
}

}  // namespace bitwright
