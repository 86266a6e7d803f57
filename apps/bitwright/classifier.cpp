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

void require_classifier(const Session& session, std::string_view source, std::string_view data_name, const Shape& image_shape) {
  if (session.input_shape() != image_shape) {
    fail(ErrorCode::usage, "{}: the model does not fit the images of {} (found input {}, need {}); choose a model or data set that fits.",
         source, data_name, session.input_shape().to_string(), image_shape.to_string());
  }
  if (session.output_shape().rank() != 1) {
    fail(ErrorCode::usage, "{}: the model is no classifier (found output {}, need one value per class); choose another model.", source,
         session.output_shape().to_string());
  }
}

}  // namespace bitwright::apps
