// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/model.h"

#include <cstdint>
#include <span>
#include <string_view>

namespace bitwright {

/// What tests that go over the whole zoo may ask of a network: they draw, train and run the small ones; the large ones are checked once
/// each, by tests/unit/train/large_zoo_test.cpp.
enum class ZooSize : std::uint8_t { small, large };

struct ZooEntry {
  std::string_view name;
  Model (*build)();              ///< graph, input transform and zero weights (batch norm: scale 1, variance 1)
  std::int64_t parameter_count;  ///< published count: trainable values, batch-norm running statistics excluded
  std::string_view dataset;
  ZooSize size;
  std::string_view source;
};

[[nodiscard]] std::span<const ZooEntry> zoo_registry() noexcept;

/// Builds a network with freshly initialized weights: He normal for Conv and Gemm (fan-in, gain sqrt 2), zero biases, batch norm identity.
/// Every value is keyed by (seed, weight name, index). Throws: `Error(usage)` on an unknown name (lists the known ones).
[[nodiscard]] Model build_zoo_model(std::string_view name, std::uint64_t seed);

/// Trainable values (weights, biases, batch-norm scale and shift).
[[nodiscard]] std::int64_t parameter_count(const Model& model);

}  // namespace bitwright
