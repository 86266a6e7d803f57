// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/calibration.h"

#include "bitwright/core/error.h"
#include "bitwright/model/activation_scales.h"
#include "bitwright/model/fixed_point_model.h"
#include "bitwright/model/passes.h"
#include "bitwright/runtime/constant_cache.h"
#include "bitwright/runtime/plan.h"
#include "bitwright/runtime/value_forms.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <string>
#include <vector>

namespace bitwright {
namespace {

constexpr std::array kRuleNames = std::to_array<std::string_view>({"minmax", "percentile", "mse"});
constexpr std::size_t kBins = 2048;
constexpr std::size_t kEdgeStep = 8;

/// What was seen of one value.
struct Observed {
  double largest = 0.0;
  std::vector<std::int64_t> histogram;  // of |x| in kBins equal parts of [0, largest]
};
using ObservedValues = std::map<std::string, Observed, std::less<>>;

/// Runs images through float32 plans, every value shown to `observer`.
void run_images(const Model& prepared, std::span<const float> images, const CalibrationOptions& options, const ValueObserver& observer) {
  const std::int64_t image_size = images.empty() ? 1 : prepared.graph.inputs.front().shape.with_dim(0, 1).element_count();
  const auto count = static_cast<std::int64_t>(images.size()) / image_size;
  ConstantCache constants;
  const ThreadScope threads(options.threads);
  for (std::int64_t first = 0; first < count;) {
    const std::int64_t batch = std::min(options.batch, count - first);
    Plan plan = make_plan(
        prepared, {.batch = batch, .threads = options.threads, .activations = Activations::float32, .scales = {}, .observer = observer},
        constants);
    for (; count - first >= batch; first += batch) plan.run(images.data() + first * image_size);
  }
}

ObservedValues measure_ranges(const Model& prepared, std::span<const float> images, const CalibrationOptions& options) {
  ObservedValues values;
  run_images(prepared, images, options, [&](const std::string& name, std::span<const float> elements) {
    double& largest = values[name].largest;
    for (const float element : elements) {
      if (!std::isfinite(element)) {
        fail(ErrorCode::numerical,
             "{}: value \"{}\" is not finite on these images (found {}, need a finite number); check images and weights.",
             prepared.graph.name, name, element);
      }
      largest = std::max(largest, std::abs(static_cast<double>(element)));
    }
  });
  return values;
}

void measure_histograms(const Model& prepared, std::span<const float> images, const CalibrationOptions& options, ObservedValues& values) {
  run_images(prepared, images, options, [&](const std::string& name, std::span<const float> elements) {
    Observed& observed = values.find(name)->second;
    if (observed.histogram.empty()) observed.histogram.resize(kBins);
    if (observed.largest == 0.0) return;
    const double bins = static_cast<double>(kBins) / observed.largest;
    for (const float element : elements) {
      const auto bin = static_cast<std::size_t>(std::abs(static_cast<double>(element)) * bins);
      ++observed.histogram[std::min(bin, kBins - 1)];
    }
  });
}

double percentile_range(const Observed& observed, double percent) {
  std::int64_t all = 0;
  for (const std::int64_t count : observed.histogram) all += count;
  const double within = percent / 100.0 * static_cast<double>(all);
  std::int64_t seen = 0;
  for (std::size_t bin = 0; bin < kBins; ++bin) {
    seen += observed.histogram[bin];
    if (static_cast<double>(seen) >= within) return observed.largest * static_cast<double>(bin + 1) / static_cast<double>(kBins);
  }
  return observed.largest;
}

double squared_error(const Observed& observed, double range, double codes) {
  const double width = observed.largest / static_cast<double>(kBins);
  const double step = range / codes;
  double sum = 0.0;
  for (std::size_t bin = 0; bin < kBins; ++bin) {
    if (observed.histogram[bin] == 0) continue;
    const double x = (static_cast<double>(bin) + 0.5) * width;
    const double error = x - std::min(std::nearbyint(x / step), codes) * step;
    sum += static_cast<double>(observed.histogram[bin]) * error * error;
  }
  return sum;
}

double least_error_range(const Observed& observed, double codes) {
  double best = observed.largest;
  double least = squared_error(observed, best, codes);
  for (std::size_t edge = kBins - kEdgeStep; edge >= kEdgeStep; edge -= kEdgeStep) {
    const double range = observed.largest * static_cast<double>(edge) / static_cast<double>(kBins);
    const double error = squared_error(observed, range, codes);
    if (error >= least) continue;
    least = error;
    best = range;
  }
  return best;
}

float scale_of(const Observed& observed, double codes, const CalibrationOptions& options) {
  if (!(observed.largest > 0.0)) return 1.0F;
  double range = observed.largest;
  if (options.rule == CalibrationRule::percentile) range = percentile_range(observed, options.percentile);
  if (options.rule == CalibrationRule::mse) range = least_error_range(observed, codes);
  // Far below what any network computes; a scale must stay a normal float32.
  return std::max(static_cast<float>(range / codes), 0x1p-100F);
}

// Codes that only move keep their scale when both sides state the same.
void share_scales(const Graph& graph, const ValueForms& forms, ActivationScales& scales) {
  for (bool has_changed = true; has_changed;) {
    has_changed = false;
    for (const Node& node : graph.nodes) {
      if (node.op != Op::Concat && !keeps_scale(node)) continue;
      const std::string& result = node.outputs.front();
      std::vector<float*> group;
      float largest = 0.0F;
      const auto join = [&](const std::string& value) {
        const auto found = scales.find(value);
        if (found == scales.end() || forms.is_non_negative(value) != forms.is_non_negative(result)) return;
        group.push_back(&found->second);
        largest = std::max(largest, found->second);
      };
      join(result);
      for (const std::string& input : node.inputs) join(input);
      for (float* scale : group) {
        has_changed = has_changed || *scale != largest;
        *scale = largest;
      }
    }
  }
}

void check(const Model& model, std::span<const float> images, const CalibrationOptions& options) {
  const std::string& name = model.graph.name;
  if (is_fixed_point(model.graph)) {
    fail(ErrorCode::usage, "{}: a fixed-point model has formats of its own (found input_format, need a model without); {}", name,
         "calibrate the float model.");
  }
  if (!(options.percentile > 0.0 && options.percentile <= 100.0)) {
    fail(ErrorCode::usage, "{}: the percentile makes no sense (found {}, need above 0 and at most 100); correct it.", name,
         options.percentile);
  }
  if (images.empty()) fail(ErrorCode::usage, "{}: calibration needs images (found none, need 1 or more); give some.", name);
  const std::int64_t image_size = model.graph.inputs.front().shape.with_dim(0, 1).element_count();
  if (static_cast<std::int64_t>(images.size()) % image_size != 0) {
    fail(ErrorCode::invalid_input, "{}: the images are not whole (found {} values, need a multiple of {}); pass whole images.", name,
         images.size(), image_size);
  }
}

}  // namespace

std::string_view calibration_rule_name(CalibrationRule rule) noexcept { return kRuleNames[static_cast<std::size_t>(rule)]; }

CalibrationRule parse_calibration_rule(std::string_view name) {
  const auto found = std::ranges::find(kRuleNames, name);
  if (found == kRuleNames.end()) {
    fail(ErrorCode::usage, "calibration: unknown rule (found \"{}\", need one of: {}); choose one.", name, fmt::join(kRuleNames, ", "));
  }
  return static_cast<CalibrationRule>(found - kRuleNames.begin());
}

Model calibrate(const Model& model, std::span<const float> images, const CalibrationOptions& options) {
  validate(model);
  check(model, images, options);
  const Model prepared = fold_batch_normalization(remove_training_nodes(model));
  ObservedValues observed = measure_ranges(prepared, images, options);
  if (options.rule != CalibrationRule::minmax) measure_histograms(prepared, images, options, observed);
  // Which kernels read codes depends on batch and processor; a file that is calibrated once serves all of them.
  const ValueForms forms(prepared.graph, Activations::int8, {},
                         [&prepared](const Node& node) { return prepared.weights.contains(node.inputs[1]); });
  ActivationScales scales;
  for (const auto& [name, value] : observed) {
    if (!forms.wants_scale(name)) continue;
    scales.emplace(name, scale_of(value, forms.is_non_negative(name) ? 255.0 : 127.0, options));
  }
  share_scales(prepared.graph, forms, scales);
  Model result = model;
  result.graph = with_activation_scales(std::move(result.graph), scales);
  return result;
}

}  // namespace bitwright
