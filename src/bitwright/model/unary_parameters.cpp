// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/unary_parameters.h"

#include "bitwright/core/error.h"

#include <limits>

namespace bitwright {

UnaryParameters unary_parameters(const Node& node) {
  UnaryParameters parameters;
  switch (node.op) {
    case Op::HardSigmoid:
      parameters.alpha = node.float_attribute("alpha", 0.2F);
      parameters.beta = node.float_attribute("beta", 0.5F);
      break;
    case Op::LeakyRelu: parameters.alpha = node.float_attribute("alpha", 0.01F); break;
    case Op::Elu: parameters.alpha = node.float_attribute("alpha", 1.0F); break;
    case Op::Clip:
      parameters.alpha = node.float_attribute("min", std::numeric_limits<float>::lowest());
      parameters.beta = node.float_attribute("max", std::numeric_limits<float>::max());
      if (!(parameters.alpha <= parameters.beta)) {
        fail(ErrorCode::invalid_input, "node \"{}\": attribute \"min\" is above \"max\" (found {}, need at most {}); check the graph.",
             node.name, parameters.alpha, parameters.beta);
      }
      break;
    case Op::Gelu: {
      const std::string approximate = node.string_attribute("approximate", "none");
      if (approximate != "none" && approximate != "tanh") {
        fail(ErrorCode::unsupported, "node \"{}\": this approximation of Gelu is not supported (found {}, need none or tanh); {}",
             node.name, approximate, "rewrite the node.");
      }
      if (approximate == "tanh") parameters.approximation = UnaryParameters::Approximation::tanh;
      break;
    }
    default: break;
  }
  return parameters;
}

}  // namespace bitwright
