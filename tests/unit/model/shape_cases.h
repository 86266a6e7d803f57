// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/ops/shape_rule.h"

#include <gtest/gtest.h>

namespace bitwright::test {

/// A node "n" with inputs x0, x1, … and output "y".
inline Node node_of(Op op, std::map<std::string, Attribute> attributes, std::size_t inputs = 1) {
  Node node{.name = "n", .op = op, .inputs = {}, .outputs = {"y"}, .attributes = std::move(attributes)};
  for (std::size_t i = 0; i < inputs; ++i) node.inputs.push_back("x" + std::to_string(i));
  return node;
}

/// The one shape that the node's rule gives.
inline Shape infer(const Node& node, std::vector<Shape> inputs) {
  const std::vector<Shape> outputs = shape_rule(node.op)(node, inputs);
  EXPECT_EQ(outputs.size(), 1U);
  return outputs.at(0);
}

}  // namespace bitwright::test
