// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/passes.h"
#include "bitwright/runtime/calibration.h"
#include "bitwright/runtime/constant_cache.h"
#include "bitwright/runtime/plan.h"
#include "bitwright/runtime/reference_narrow.h"
#include "bitwright/runtime/reference_tensor.h"
#include "tests/unit/runtime/small_models.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

namespace bitwright::test {

/// What one plan did, value by value, beside the reference.
struct StepCounts {
  int codes = 0;       ///< values held in 8 bits or bfloat16
  int int8_nodes = 0;  ///< nodes that read codes
  int bfloat16_nodes = 0;
  std::int64_t elements = 0;  ///< of the values held in few bits
  std::int64_t open = 0;      ///< those that float32's roundings may move to a neighbour
};

/// Plans a model for a mode, runs it on random images and holds every value that the plan makes to what the reference makes of the plan's
/// own operands: codes must be equal unless float32's few roundings can decide between two, everything else within the derived bound.
inline StepCounts expect_steps_within_bound(const Model& model, Activations activations, std::int64_t batch, int threads) {
  const Model prepared = fold_batch_normalization(remove_training_nodes(model));
  std::map<std::string, std::vector<float>> seen;
  ConstantCache constants;
  const ThreadScope scope(threads);
  Plan plan = make_plan(prepared,
                        {.batch = batch,
                         .threads = threads,
                         .activations = activations,
                         .scales = activation_scales(model.graph),
                         .observer = [&seen](const std::string& name,
                                             std::span<const float> elements) { seen[name].assign(elements.begin(), elements.end()); }},
                        constants);
  plan.warm_up();
  const std::vector<float> input = normals("input", plan.input_count);
  plan.run(input.data());

  StepCounts counts;
  std::map<std::string, ValueForm> forms;
  for (const ValueReport& value : plan.values) {
    if (!value.is_conversion) forms.insert_or_assign(value.value, value.form);
  }
  for (const NodeReport& node : plan.reports) {
    counts.int8_nodes += static_cast<int>(node.type == ValueType::int8 && node.op != "Reorder");
    counts.bfloat16_nodes += static_cast<int>(node.type == ValueType::bfloat16 && node.op != "Reorder");
  }
  const auto visit = [&](const std::string& name, RunningTensor& tensor) {
    if (::testing::Test::HasFatalFailure()) return;
    ASSERT_TRUE(seen.contains(name)) << name;
    const std::vector<float>& found = seen.at(name);
    ASSERT_EQ(found.size(), tensor.value.size()) << name;
    const ValueForm form = forms.at(name);
    const std::vector<double> bounds = error_bounds(tensor);
    // What the observer sees of a code is code * scale, rounded once.
    const double shown = form.type == ValueType::float32 ? 0.0 : 0x1p-23;
    if (form.type != ValueType::float32) ++counts.codes;
    for (std::size_t i = 0; i < found.size(); ++i) {
      const double off = std::abs(static_cast<double>(found[i]) - tensor.value[i]);
      ASSERT_LE(off, bounds[i] + shown * std::abs(tensor.value[i]))
          << name << " at " << i << ": " << found[i] << " for " << tensor.value[i] << " (" << value_type_name(form.type) << ", scale "
          << form.scale << ")";
      if (form.type == ValueType::float32) continue;
      ++counts.elements;
      if (bounds[i] > 0.25 * static_cast<double>(form.scale) || (!is_code(form.type) && bounds[i] > 0.0)) ++counts.open;
    }
    // From here on the plan's own numbers, codes exactly.
    for (std::size_t i = 0; i < found.size(); ++i) {
      double value = static_cast<double>(found[i]);
      if (is_code(form.type)) value = std::nearbyint(value / form.scale) * static_cast<double>(form.scale);
      running::store(tensor, static_cast<std::int64_t>(i), value, 0.0);
    }
    tensor.roundings = 0;
  };
  (void)run_narrow_reference(model, {.nodes = plan.reports, .values = plan.values}, input, batch, nullptr, visit);
  return counts;
}

/// A model with scales from random images.
inline Model calibrated(const Model& model, CalibrationRule rule = CalibrationRule::minmax) {
  const std::int64_t count = 4 * model.graph.inputs.front().shape.with_dim(0, 1).element_count();
  return calibrate(model, normals("calibration", count), {.rule = rule, .percentile = 99.9, .threads = 1, .batch = 3});
}

}  // namespace bitwright::test
