// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/train/recipe.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright::apps {

/// What `quantize` was given of the things that methods' defaults depend on.
struct QuantizeRequest {
  std::string data;
  std::optional<std::int64_t> bits;
  std::vector<double> portions;
  std::optional<std::int64_t> epochs;

  [[nodiscard]] bool is_folder() const { return data.starts_with("folder:"); }
  [[nodiscard]] bool is_cifar() const { return data.starts_with("cifar"); }
};

/// Fills in what a method needs and the user left open. The recipe names model, data and method already; learning rate, batch and seed that
/// the user gave come after.
using FillRecipe = void (*)(const QuantizeRequest&, Recipe&);

/// One line of quantize_defaults.inc.
struct QuantizeDefaults {
  std::string_view method;
  std::string_view bits;    ///< for --help: what --bits may be, the default in brackets
  std::string_view epochs;  ///< for --help: what --epochs counts; empty: all of the run's
  FillRecipe fill = nullptr;
};

[[nodiscard]] std::span<const QuantizeDefaults> quantize_defaults() noexcept;

/// Fills in by the method's line; a method without one gets the data set's budget, `--epochs` and its key `bits`.
void fill_recipe(const QuantizeRequest& request, Recipe& recipe);

/// Batch and augmentation of the data set: CIFAR 128 with crops and flips, others 64.
void fill_budget(const QuantizeRequest& request, Recipe& recipe);

#define BITWRIGHT_QUANTIZE(method, bits, epochs) void fill_##method(const QuantizeRequest& request, Recipe& recipe);
#include "quantize_defaults.inc"
#undef BITWRIGHT_QUANTIZE

}  // namespace bitwright::apps
