// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/model.h"
#include "bitwright/train/fixed_point/stage.h"

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright::fixed_point {

/// Formats of what moves through a network.
struct ChainFormats {
  FixedPoint input;   ///< of the network's input
  FixedPoint errors;  ///< of all errors
};

/// A whole network on codes: its nodes in a row, each with one consumer.
class Chain {
 public:
  struct Link {
    const Node* node = nullptr;
    std::unique_ptr<Stage> stage;
    ProductStage* product = nullptr;  ///< the same stage where it is a product
    FixedPoint output;                ///< format of what comes out
  };

  /// `output_of` gives the format of a product's outputs. The graph and its nodes must outlive the chain.
  /// Throws: `Error(unsupported)`: operators other than Conv, Gemm, Relu, MaxPool, Flatten, Dropout and a final Softmax (one message
  /// with the names of all such nodes), a value that two nodes read, no product at all.
  Chain(const Graph& graph, const ShapeMap& weights, const ChainFormats& formats, const std::function<FixedPoint(const Node&)>& output_of);

  /// Makes the network's nodes compute on codes; `rule_of` says how a pass rounds. The network's output stays a float32 tensor, made by
  /// `finish` from the values of the last codes (absent: they are the output). Both must live as long as the network.
  using RuleOf = std::function<PassRule(const PassContext&)>;
  using Finish = std::function<at::Tensor(const at::Tensor& logits, const PassContext&)>;
  static void install(const std::shared_ptr<Chain>& chain, Network& network, RuleOf rule_of, Finish finish = {});

  /// Codes of the images. In training with the pass's rounding.
  [[nodiscard]] at::Tensor input_codes(const at::Tensor& images, const PassRule& rule);
  /// Backward through all stages; every product then has its gradients. `errors`: codes at the last output.
  void backward(at::Tensor errors, const PassRule& rule);

  [[nodiscard]] std::span<Link> links() noexcept { return links_; }
  [[nodiscard]] std::span<const Link> links() const noexcept { return links_; }
  [[nodiscard]] const FixedPoint& logits_format() const noexcept { return links_.back().output; }

  SaturationCount inputs;  ///< conversions of the network's input in `Mode::train`

 private:
  ChainFormats formats_;
  std::vector<Link> links_;
};

/// Makes a network compute a fixed-point model's evaluation in integers, bit for bit as `Session` does. Training such a network is refused
/// (`Error(unsupported)`): method `fixed` brings its own chain.
/// Requires: is_fixed_point(model.graph), a network on the CPU. Throws: as `fixed_point_formats` and `Chain`.
void install_evaluation(const Model& model, Network& network);

}  // namespace bitwright::fixed_point
