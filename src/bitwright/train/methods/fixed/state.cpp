// SPDX-License-Identifier: Apache-2.0
// What method `fixed` reports after an epoch, and what it saves.
#include "bitwright/core/error.h"
#include "bitwright/train/methods/fixed/layer.h"

#include <torch/torch.h>

#include <cstring>
#include <utility>

namespace bitwright::fixed {

using fixed_point::Chain;
using fixed_point::SaturationCount;

namespace {

void save_codes(StateWriter& state, const std::string& name, const std::vector<std::int32_t>& codes) {
  state.bytes(name, {reinterpret_cast<const std::uint8_t*>(codes.data()), codes.size() * sizeof(std::int32_t)});
}

void load_codes(StateReader& state, const std::string& name, std::vector<std::int32_t>& codes, const FixedPoint& format) {
  const std::vector<std::uint8_t> bytes = state.bytes(name);
  if (bytes.size() != codes.size() * sizeof(std::int32_t)) {
    fail(ErrorCode::corrupt_file, "checkpoint: \"{}\" has another size (found {} bytes, need {}); start the run anew.", name, bytes.size(),
         codes.size() * sizeof(std::int32_t));
  }
  std::memcpy(codes.data(), bytes.data(), bytes.size());
  for (const std::int32_t code : codes) {
    if (code >= format.min_code() && code <= format.max_code()) continue;
    fail(ErrorCode::corrupt_file, "checkpoint: \"{}\" has a code outside {} (found {}); start the run anew.", name, format.spec(), code);
  }
}

FixedPoint load_format(StateReader& state, std::string_view name) {
  const NumberFormat format = NumberFormat::parse(state.text(name));
  if (const auto* fixed = format.get_if<FixedPoint>()) return *fixed;
  fail(ErrorCode::corrupt_file, "checkpoint: \"{}\" is not a fixed-point format (found {}); start the run anew.", name, format.spec());
}

}  // namespace

std::string_view arithmetic_text(Arithmetic arithmetic) noexcept {
  return arithmetic == Arithmetic::exact ? "exact integer sums" : "float32 sums, inexact";
}

template <typename Function>
void Fixed::for_each_count(Function&& function) {
  function("input", chain_->inputs);
  for (Chain::Link& link : chain_->links()) {
    function(link.node->name + ".output", link.stage->outputs);
    function(link.node->name + ".input_error", link.stage->input_errors);
  }
  function("loss.error", loss_count_);
}

void Fixed::report(Metrics& metrics) {
  metrics["fixed.arithmetic"] = std::string(arithmetic_text(options_.arithmetic));
  for_each_count([&metrics](const std::string& name, SaturationCount& count) {
    if (count.elements > 0) metrics["fixed.saturated." + name] = count.share();
    count = {};
  });
  std::int64_t zero = 0;
  std::int64_t all = 0;
  for (Layer& layer : layers_) {
    layer.for_each([&](Parameter& parameter) {
      const std::string& name = parameter.codes.name;
      if (parameter.updates > 0) {
        metrics["fixed.saturated." + name] = parameter.share(parameter.counts.saturated_codes);
        metrics["fixed.saturated." + name + ".update"] = parameter.share(parameter.counts.saturated_updates);
      }
      if (&parameter == &layer.weights) {
        if (parameter.updates > 0) metrics["fixed.zero_updates." + name] = parameter.share(parameter.counts.zero_updates);
        zero += parameter.counts.zero_updates;
        all += parameter.updates;
      }
      parameter.counts = {};
      parameter.updates = 0;
    });
  }
  if (all > 0) metrics["fixed.zero_updates"] = static_cast<double>(zero) / static_cast<double>(all);
}

void Fixed::save(StateWriter& state) const {
  state.integer("fixed.seed", static_cast<std::int64_t>(seed_));
  state.integer("fixed.initialized", initialized_ ? 1 : 0);
  state.integer("fixed.switched", switched_ ? 1 : 0);
  state.text("fixed.rounding", rounding_name(options_.rounding));
  // Visiting needs no change, but counters are handed out to be reset as well.
  auto& self = const_cast<Fixed&>(*this);
  self.for_each_count([&state](const std::string& name, const SaturationCount& count) {
    state.integer("fixed.saturated." + name, count.saturated);
    state.integer("fixed.elements." + name, count.elements);
  });
  for (Layer& layer : self.layers_) {
    layer.for_each([&state](const Parameter& parameter) {
      const ParameterCodes& codes = parameter.codes;
      state.text("fixed.format." + codes.name, codes.format.spec());
      state.text("fixed.update_format." + codes.name, codes.update_format.spec());
      save_codes(state, "fixed.codes." + codes.name, codes.codes);
      save_codes(state, "fixed.updates." + codes.name, codes.updates);
      state.integer("fixed.saturated_updates." + codes.name, parameter.counts.saturated_updates);
      state.integer("fixed.saturated_codes." + codes.name, parameter.counts.saturated_codes);
      state.integer("fixed.zero_updates." + codes.name, parameter.counts.zero_updates);
      state.integer("fixed.updated." + codes.name, parameter.updates);
    });
  }
}

void Fixed::load(StateReader& state) {
  seed_ = static_cast<std::uint64_t>(state.integer("fixed.seed"));
  initialized_ = state.integer("fixed.initialized") != 0;
  switched_ = state.integer("fixed.switched") != 0;
  if (state.text("fixed.rounding") != rounding_name(options_.rounding)) {
    fail(ErrorCode::corrupt_file, "checkpoint: it was made with another rounding (need {}); start the run anew.",
         rounding_name(options_.rounding));
  }
  for_each_count([&state](const std::string& name, SaturationCount& count) {
    count.saturated = state.integer("fixed.saturated." + name);
    count.elements = state.integer("fixed.elements." + name);
  });
  for (Layer& layer : layers_) {
    layer.for_each([&state](Parameter& parameter) {
      ParameterCodes& codes = parameter.codes;
      codes.format = load_format(state, "fixed.format." + codes.name);
      codes.update_format = load_format(state, "fixed.update_format." + codes.name);
      load_codes(state, "fixed.codes." + codes.name, codes.codes, codes.format);
      load_codes(state, "fixed.updates." + codes.name, codes.updates, codes.update_format);
      parameter.counts.saturated_updates = state.integer("fixed.saturated_updates." + codes.name);
      parameter.counts.saturated_codes = state.integer("fixed.saturated_codes." + codes.name);
      parameter.counts.zero_updates = state.integer("fixed.zero_updates." + codes.name);
      parameter.updates = state.integer("fixed.updated." + codes.name);
    });
    if (initialized_) refresh(layer);
  }
}

}  // namespace bitwright::fixed
