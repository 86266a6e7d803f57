// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/rng.h"
#include "bitwright/model/model.h"
#include "bitwright/runtime/reference.h"
#include "bitwright/runtime/session.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace bitwright::test {

/// Normal random values keyed by a name.
inline std::vector<float> normals(std::string_view key, std::int64_t count, double mean = 0.0, double deviation = 1.0) {
  const Rng rng(7, key);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(mean + deviation * rng.normal(i));
  return values;
}

/// Builds small graphs with random weights: each call adds a node and returns the name of its output.
class GraphMaker {
 public:
  using Attributes = std::map<std::string, Attribute>;
  using Ints = std::vector<std::int64_t>;

  explicit GraphMaker(const Shape& image) {
    std::vector<std::int64_t> dims = {Shape::kDynamic};
    dims.insert(dims.end(), image.dims().begin(), image.dims().end());
    model_.graph.name = "small";
    model_.graph.inputs.push_back({.name = "input", .shape = Shape(dims)});
  }

  std::string node(Op op, std::vector<std::string> inputs, Attributes attributes = {}) {
    const std::string name = std::string(op_entry(op).name) + std::to_string(model_.graph.nodes.size());
    model_.graph.nodes.push_back(
        {.name = name, .op = op, .inputs = std::move(inputs), .outputs = {name + ".out"}, .attributes = std::move(attributes)});
    return name + ".out";
  }
  std::string weight(const std::string& key, const Shape& shape, double mean = 0.0, double deviation = 1.0) {
    const std::string name = key + std::to_string(model_.weights.size());
    model_.weights.emplace(name, FloatTensor{.shape = shape, .values = normals(name, shape.element_count(), mean, deviation)});
    return name;
  }
  std::string conv(const std::string& src, const Shape& weight_shape, Attributes attributes = {}) {
    return node(Op::Conv, {src, weight("w", weight_shape, 0.0, 0.3), weight("b", Shape{weight_shape[0]})}, std::move(attributes));
  }
  std::string gemm(const std::string& src, std::int64_t inputs, std::int64_t outputs) {
    return node(Op::Gemm, {src, weight("w", Shape{outputs, inputs}, 0.0, 0.3), weight("b", Shape{outputs})}, {{"transB", std::int64_t{1}}});
  }
  std::string batch_normalization(const std::string& src, std::int64_t channels) {
    const Shape shape{channels};
    const std::string variance = weight("v", shape, 2.0, 0.2);
    return node(Op::BatchNormalization, {src, weight("s", shape), weight("b", shape), weight("m", shape), variance});
  }
  Model finish(const std::string& output) && {
    model_.graph.outputs = {output};
    return std::move(model_);
  }

 private:
  Model model_;
};

/// Codes instead of floats for every weight of Conv and Gemm.
inline Model quantized(Model model, const NumberFormat& format) {
  for (const std::string& name : quantizable_weights(model.graph)) {
    Weight& weight = model.weights.at(name);
    weight = quantize(format, weight_shape(weight), weight_values(weight));
  }
  return model;
}

/// Runs a batch of random images.
inline std::vector<float> run_session(Session& session, const std::vector<float>& input) {
  std::vector<float> output(static_cast<std::size_t>(session.batch() * session.output_shape().element_count()), std::nanf(""));
  session.run(input, output);
  return output;
}

inline std::vector<float> random_input(const Session& session) {
  return normals("input", session.batch() * session.input_shape().element_count());
}

/// How small the bound must be, relative to the largest output, to prove something.
enum class Sharpness {
  any,    ///< deep networks: a bound for every order of summation grows with every layer
  sharp,  ///< a few layers: below half a percent
};

/// Every output must lie within the derived bound of the reference (docs/runtime.md).
inline void expect_close(const std::vector<float>& output, const Model& model, const std::vector<float>& input, std::int64_t batch,
                         Sharpness sharpness) {
  std::vector<double> bound;
  const std::vector<double> reference = run_reference(model, input, batch, &bound);
  ASSERT_EQ(reference.size(), output.size());
  double largest = 0.0;
  for (const double value : reference) largest = std::max(largest, std::abs(value));
  for (std::size_t i = 0; i < output.size(); ++i) {
    ASSERT_LE(std::abs(static_cast<double>(output[i]) - reference[i]), bound[i])
        << "at " << i << ": " << output[i] << " for " << reference[i];
    if (sharpness == Sharpness::sharp) {
      ASSERT_LT(bound[i], largest / 200.0) << "the bound proves nothing at " << i;
    }
  }
}

inline void expect_within_bound(const Model& model, SessionOptions options, Sharpness sharpness = Sharpness::sharp) {
  Session session(model, options);
  const std::vector<float> input = random_input(session);
  expect_close(run_session(session, input), model, input, options.batch, sharpness);
}

/// The nodes [first, last) of a graph as a model of their own, from value `input` to value `output`.
inline Model segment(const Model& model, std::size_t first, std::size_t last, const GraphInput& input, const std::string& output) {
  Model part;
  part.graph.name = model.graph.name;
  part.graph.inputs = {input};
  part.graph.outputs = {output};
  for (std::size_t i = first; i < last; ++i) {
    part.graph.nodes.push_back(model.graph.nodes[i]);
    for (const std::string& name : model.graph.nodes[i].inputs) {
      if (const auto weight = model.weights.find(name); weight != model.weights.end()) part.weights.insert(*weight);
    }
  }
  return part;
}

/// Cuts a deep network where one value alone leads on, and holds every piece to its own sharp bound: the piece's input is what a session
/// makes of all nodes before it, its output what a session makes of all nodes up to its end. (Planning is greedy, so the plan of the first
/// nodes is the first part of the whole plan, and both sessions compute the same bits up to the cut.) Returns the number of pieces.
inline int expect_pieces_within_bound(const Model& model, SessionOptions options) {
  const Graph& graph = model.graph;
  const ShapeMap shapes = infer_shapes(graph, weight_shapes(model), options.batch);
  Session whole(model, options);
  std::vector<float> before = random_input(whole);
  GraphInput cut = graph.inputs.front();
  const GraphInput input = cut;
  std::size_t first = 0;
  int pieces = 0;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    const std::string& output = graph.nodes[i].outputs.front();
    std::set<std::string> crossing;
    bool is_fusable = false;
    for (std::size_t after = i + 1; after < graph.nodes.size(); ++after) {
      for (const std::string& name : graph.nodes[after].inputs) {
        bool made_after = model.weights.contains(name) || name.empty();
        for (std::size_t maker = i + 1; maker < graph.nodes.size(); ++maker)
          made_after = made_after || graph.nodes[maker].outputs.front() == name;
        if (!made_after) crossing.insert(name);
      }
    }
    if (i + 1 < graph.nodes.size()) {
      const Op next = graph.nodes[i + 1].op;
      is_fusable = next == Op::Relu || next == Op::BatchNormalization || next == Op::Add || next == Op::Dropout;
    }
    if (is_fusable || crossing.size() > 1 || (crossing.size() == 1 && *crossing.begin() != output)) continue;
    Session up_to_here(segment(model, 0, i + 1, input, output), options);
    const std::vector<float> after = run_session(up_to_here, random_input(whole));
    SCOPED_TRACE("nodes " + graph.nodes[first].name + " to " + graph.nodes[i].name);
    expect_close(after, segment(model, first, i + 1, cut, output), before, options.batch, Sharpness::sharp);
    if (::testing::Test::HasFatalFailure()) return pieces;
    before = after;
    cut = {.name = output, .shape = shapes.at(output).with_dim(0, Shape::kDynamic)};
    first = i + 1;
    ++pieces;
  }
  return pieces;
}

/// The report of a node. Requires: it exists.
inline NodeReport report_of(const Session& session, std::string_view node) {
  for (NodeReport& report : session.describe()) {
    if (report.node == node) return report;
  }
  ADD_FAILURE() << "no report of " << node;
  return {};
}

}  // namespace bitwright::test
