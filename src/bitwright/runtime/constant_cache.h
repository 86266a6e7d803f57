// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/kernels/fixed_point/fixed_point.h"
#include "bitwright/kernels/gemv_packed/gemv_packed.h"

#include <oneapi/dnnl/dnnl.hpp>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace bitwright {

/// Weights in the layouts that kernels want, shared by the plans of one session.
class ConstantCache {
 public:
  /// The memory kept under `key` with this layout; made by `make` when there is none.
  template <typename Make>
  [[nodiscard]] dnnl::memory memory(const std::string& key, const dnnl::memory::desc& desc, Make make) {
    for (const dnnl::memory& kept : memories_[key]) {
      if (kept.get_desc() == desc) return kept;
    }
    return memories_[key].emplace_back(make());
  }

  template <typename Make>
  [[nodiscard]] std::shared_ptr<const GemvPackedWeights> packed(const std::string& key, Make make) {
    std::shared_ptr<const GemvPackedWeights>& kept = packed_[key];
    if (!kept) kept = std::make_shared<const GemvPackedWeights>(make());
    return kept;
  }

  template <typename Make>
  [[nodiscard]] std::shared_ptr<const FixedPacked> fixed(const std::string& key, Make make) {
    std::shared_ptr<const FixedPacked>& kept = fixed_[key];
    if (!kept) kept = std::make_shared<const FixedPacked>(make());
    return kept;
  }

 private:
  std::map<std::string, std::vector<dnnl::memory>> memories_;
  std::map<std::string, std::shared_ptr<const GemvPackedWeights>> packed_;
  std::map<std::string, std::shared_ptr<const FixedPacked>> fixed_;
};

}  // namespace bitwright
