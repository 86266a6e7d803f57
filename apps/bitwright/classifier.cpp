// SPDX-License-Identifier: Apache-2.0
#include "classifier.h"

#include "bitwright/core/error.h"

#include <algorithm>
#include <cmath>

namespace bitwright::apps {

std::int64_t arg_max(std::span<const float> values) noexcept { return std::ranges::max_element(values) - values.begin(); }

std::vector<double> probabilities(const Model& model, std::span<const float> output) {
  std::vector<double> result(output.begin(), output.end());
  const bool ends_in_softmax = std::ranges::any_of(model.graph.nodes, [&](const Node& node) {
    return node.op == Op::Softmax && std::ranges::find(node.outputs, model.graph.outputs.front()) != node.outputs.end();
  });
  if (ends_in_softmax) return result;
  const double largest = *std::ranges::max_element(result);
  double sum = 0.0;
  for (double& value : result) {
    value = std::exp(value - largest);
    sum += value;
  }
  for (double& value : result) value /= sum;
  return result;
}

void require_classifier(const Session& session, std::string_view source, std::size_t classes) {
  const Shape& output = session.output_shape();
  if (output.rank() != 1 || output.element_count() < static_cast<std::int64_t>(classes)) {
    fail(ErrorCode::usage,
         "{}: the model does not tell the classes apart (found output {}, need one value for each of {} classes); choose another model.",
         source, output.to_string(), classes);
  }
}

}  // namespace bitwright::apps
