// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/method.h"

#include "bitwright/core/error.h"
#include "bitwright/core/nearest_name.h"

#include <array>

namespace bitwright {

#define BITWRIGHT_METHOD(name, factory, paper) std::unique_ptr<Method> factory(const MethodRecipe& recipe);
#include "bitwright/train/methods.inc"
#undef BITWRIGHT_METHOD

namespace {

constexpr std::array kRegistry = {
#define BITWRIGHT_METHOD(name, factory, paper) MethodEntry{name, paper, &factory},
#include "bitwright/train/methods.inc"
#undef BITWRIGHT_METHOD
};

}  // namespace

at::Tensor Method::surrogate(std::string_view, const at::Tensor& latent, std::span<const at::Tensor>) const { return latent; }

std::span<const MethodEntry> method_registry() noexcept { return kRegistry; }

std::unique_ptr<Method> make_method(const MethodRecipe& recipe) {
  std::vector<std::string> known;
  for (const MethodEntry& entry : kRegistry) {
    if (entry.name == recipe.name) return entry.make(recipe);
    known.emplace_back(entry.name);
  }
  fail(ErrorCode::usage, "recipe: method \"{}\" is not known (nearest: {}); known methods are {}.", recipe.name,
       nearest_name(recipe.name, known), join_names(known));
}

}  // namespace bitwright
