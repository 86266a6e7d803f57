// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/fixed/fixed.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"
#include "bitwright/model/fixed_point_model.h"
#include "bitwright/train/methods/fixed/layer.h"
#include "bitwright/train/network.h"
#include "bitwright/train/optimizer.h"
#include "bitwright/train/tensor.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace bitwright::fixed {

using fixed_point::Chain;
using fixed_point::PassRule;

namespace {

/// Values of codes. Exact: at most 24 bits.
at::Tensor dequantized(const ParameterCodes& parameter, at::IntArrayRef sizes) {
  return at::from_blob(const_cast<std::int32_t*>(parameter.codes.data()), sizes, at::kInt).to(at::kFloat).mul_(parameter.format.step());
}

/// Softmax in double by the C library alone: LibTorch's own depends on the instruction set.
std::vector<double> softmax(std::span<const float> logits) {
  const double largest = *std::ranges::max_element(logits);
  std::vector<double> p;
  double sum = 0.0;
  for (const float logit : logits) {
    p.push_back(std::exp(static_cast<double>(logit) - largest));
    sum += p.back();
  }
  for (double& value : p) value /= sum;
  return p;
}

[[noreturn]] void fail_other_loss() {
  fail(ErrorCode::usage, "method fixed: another method changes the loss, but errors here begin as p - onehot of the labels (G4.3); {}",
       "keep method fixed alone.");
}

}  // namespace

Fixed::Fixed(FixedOptions options) : options_(std::move(options)) {}

Fixed::~Fixed() = default;

BitPlan Fixed::default_plan(const Network&) const {
  std::vector<BitRule> rules = options_.plan;
  rules.push_back({"*", NumberFormat(options_.weights)});
  return BitPlan(std::move(rules));
}

Fixed::Parameter Fixed::make_parameter(const Network& network, const std::string& name, const FixedPoint& format) const {
  Parameter parameter;
  const FixedPoint update_format = options_.updates.value_or(format);
  if (update_format.frac_bits != format.frac_bits) {
    fail(ErrorCode::usage, "method fixed: updates of \"{}\" have another step than it has (found {} and {}, need equal FL); {}", name,
         update_format.spec(), format.spec(), "G16 adds them without rounding.");
  }
  if (options_.switch_weights) {
    const FixedPoint& to = *options_.switch_weights;
    if (to.frac_bits < format.frac_bits || to.int_bits < format.int_bits || to.int_bits < update_format.int_bits) {
      fail(ErrorCode::usage, "method fixed: switch_weights would lose bits of \"{}\" (found {} to {}, need no smaller IL and FL, G14); {}",
           name, format.spec(), to.spec(), "widen it.");
    }
  }
  parameter.values = network.parameter(name).detach();  // shares the network's memory
  parameter.start = tensor_values(parameter.values);
  parameter.codes.name = name;
  parameter.codes.format = format;
  parameter.codes.update_format = update_format;
  parameter.codes.codes.resize(static_cast<std::size_t>(parameter.values.numel()));
  parameter.codes.updates.resize(parameter.codes.codes.size());
  parameter.gradient.resize(parameter.codes.codes.size());
  return parameter;
}

void Fixed::add_layer(const Network& network, Chain::Link& link, const BitPlan& plan) {
  const Node& node = *link.node;
  const std::string& name = node.inputs[1];
  const std::optional<NumberFormat> format = plan.format_for(name);
  const auto* fixed = format ? format->get_if<FixedPoint>() : nullptr;
  if (fixed == nullptr) {
    fail(ErrorCode::usage, "method fixed: the plan gives \"{}\" a format that is not fixed point (found {}, need fixed<IL,FL>); change it.",
         name, format ? format->spec() : "float");
  }
  Layer layer;
  layer.link = &link;
  layer.weights = make_parameter(network, name, *fixed);
  if (node.inputs.size() > 2 && !node.inputs[2].empty()) {
    const FixedPoint bias = options_.bias.value_or(*fixed);
    const int acc_frac_bits = options_.outputs.frac_bits + fixed->frac_bits;
    if (bias.frac_bits > acc_frac_bits) {
      fail(ErrorCode::usage, "method fixed: the bias of \"{}\" is finer than its accumulator (found {}, need FL at most {}); shorten it.",
           node.name, bias.spec(), acc_frac_bits);
    }
    layer.bias = make_parameter(network, node.inputs[2], bias);
  }
  link.product->set_saturated_errors(options_.saturated_errors);
  layers_.push_back(std::move(layer));
}

void Fixed::attach(Network& network, const BitPlan& plan) {
  if (!network.device().is_cpu()) {
    fail(ErrorCode::unsupported, "method fixed: integers are computed on the CPU only (found train.device = \"cuda\"); set \"cpu\".");
  }
  ShapeMap shapes;
  for (const bitwright::Parameter& parameter : network.parameters()) shapes.emplace(parameter.name, tensor_shape(parameter.tensor));
  chain_ = std::make_shared<Chain>(network.graph(), shapes,
                                   fixed_point::ChainFormats{.input = options_.outputs, .errors = options_.errors_format()},
                                   [this](const Node&) { return options_.outputs; });
  layers_.clear();
  for (Chain::Link& link : chain_->links()) {
    if (link.product != nullptr) add_layer(network, link, plan);
  }
  const PassRule evaluation;
  Chain::install(
      chain_, network,
      [this, evaluation](const PassContext& pass) { return pass.mode == Mode::train ? training_rule(pass.step) : evaluation; },
      // The backward pass is the method's own: autograd sees the logits as where everything begins.
      [](const at::Tensor& logits, const PassContext& pass) { return pass.mode == Mode::train ? logits.requires_grad_() : logits; });
  // Until a seed is known; what the first phase then converts are the network's values as they are now.
  for (Layer& layer : layers_) {
    layer.for_each([](Parameter& parameter) {
      parameter.codes.format.encode({}, tensor_values(parameter.values), {.mode = Rounding::nearest_down}, parameter.codes.codes);
    });
    refresh(layer);
  }
}

PassRule Fixed::training_rule(std::int64_t step) const {
  return {.mode = Mode::train,
          .step = step,
          .seed = seed_,
          .rounding = options_.rounding,
          .random_bits = options_.random_bits,
          .arithmetic = options_.arithmetic};
}

void Fixed::begin_phase(StepContext& context) {
  const TrainRecipe& recipe = context.optimizer.recipe();
  if (recipe.optimizer != OptimizerKind::sgd || recipe.nesterov) {
    fail(ErrorCode::usage, "method fixed: it has its own form of SGD with momentum (G15) and no other; {}",
         "set train.optimizer = \"sgd\" and train.nesterov = false.");
  }
  seed_ = context.seed;
  if (!initialized_) initialize();
}

void Fixed::initialize() {
  const Rng values_rng(seed_, "fixed.init");
  const Rng rounding_rng(seed_, "fixed.init.rounding");
  for (Layer& layer : layers_) {
    layer.for_each([&](Parameter& parameter) {
      std::vector<float> values = std::exchange(parameter.start, {});
      if (options_.init_deviation) {
        const Rng rng = values_rng.split(parameter.codes.name);
        const double deviation = &parameter == &layer.weights ? *options_.init_deviation : 0.0;
        for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(deviation * rng.normal(i));
      }
      const Rng rng = rounding_rng.split(parameter.codes.name);
      parameter.codes.format.encode({}, values, {.mode = options_.rounding, .rng = &rng}, parameter.codes.codes);
    });
    refresh(layer);
  }
  initialized_ = true;
}

void Fixed::refresh(Layer& layer) {
  layer.for_each([](Parameter& parameter) { parameter.values.copy_(dequantized(parameter.codes, parameter.values.sizes())); });
  const fixed_point::ProductFormats formats{.src = options_.outputs,
                                            .weights = layer.weights.codes.format,
                                            .bias = layer.bias ? layer.bias->codes.format : layer.weights.codes.format,
                                            .dst = layer.link->output,
                                            .errors = options_.errors_format()};
  layer.link->product->product().set_parameters(
      formats, layer.weights.codes.codes,
      layer.bias ? std::span<const std::int32_t>(layer.bias->codes.codes) : std::span<const std::int32_t>());
}

at::Tensor Fixed::loss(StepContext& context, at::Tensor task_loss) {
  const at::NoGradGuard no_grad;
  const at::Tensor logits = context.logits->contiguous();
  const std::int64_t batch = logits.size(0);
  const auto classes = static_cast<std::size_t>(logits.size(1));
  const at::Tensor errors = at::empty(logits.sizes(), at::kDouble);
  double sum = 0.0;
  for (std::int64_t n = 0; n < batch; ++n) {
    const std::vector<double> p = softmax({logits.data_ptr<float>() + n * logits.size(1), classes});
    const auto label = static_cast<std::size_t>(context.labels->data_ptr<std::int64_t>()[n]);
    double* const row = errors.data_ptr<double>() + n * logits.size(1);
    for (std::size_t c = 0; c < classes; ++c) row[c] = p[c] - (c == label ? 1.0 : 0.0);
    sum -= std::log(std::max(p[label], 1e-300));
  }
  // float32's softmax and mean stay well within a thousandth of the loss in double.
  const double mean = sum / static_cast<double>(batch);
  if (std::abs(mean - task_loss.item<double>()) > 1e-3 * (1.0 + mean)) fail_other_loss();
  const fixed_point::Converted converted =
      fixed_point::convert_values(errors, options_.errors_format(), training_rule(context.step).conversion("fixed.backward", "loss"));
  loss_count_.add(converted);
  loss_errors_ = converted.codes;
  loss_gradient_ = fixed_point::values_of(loss_errors_, options_.errors_format());
  // A loss with the task's value and with these errors as its gradient: not a mean over the batch, so that no error falls below a step.
  const at::AutoGradMode with_grad(true);
  const at::Tensor carrier = (*context.logits * loss_gradient_).sum();
  return task_loss.detach() + (carrier - carrier.detach());
}

void Fixed::after_backward(StepContext& context) {
  const at::NoGradGuard no_grad;
  if (!context.logits->grad().defined() || !at::equal(context.logits->grad(), loss_gradient_)) fail_other_loss();
  chain_->backward(loss_errors_, training_rule(context.step));
  const std::int64_t batch = context.logits->size(0);
  for (Layer& layer : layers_) update_layer(layer, context, batch);
}

void Fixed::update_layer(Layer& layer, const StepContext& context, std::int64_t batch) {
  layer.link->product->gradients(layer.weights.gradient, layer.bias ? std::span(layer.bias->gradient) : std::span<std::int64_t>(),
                                 options_.arithmetic);
  const TrainRecipe& recipe = context.optimizer.recipe();
  const Rng rng(seed_, "fixed.update", static_cast<std::uint64_t>(context.step));
  layer.for_each([&](Parameter& parameter) {
    const bool is_weight = &parameter == &layer.weights;
    const int src_frac_bits = is_weight ? options_.outputs.frac_bits : 0;
    const UpdateRule rule{.lr = context.optimizer.learning_rate(),
                          .momentum = recipe.momentum,
                          .weight_decay = is_weight ? recipe.weight_decay : recipe.bias_weight_decay,
                          .gradient_frac_bits = options_.errors_format().frac_bits + src_frac_bits,
                          .batch = batch,
                          .rounding = options_.rounding,
                          .random_bits = options_.random_bits,
                          .master_copy = options_.master_copy,
                          .overflow = options_.overflow};
    parameter.counts += update(parameter.codes, parameter.gradient, rule, rng.split(parameter.codes.name));
    parameter.updates += static_cast<std::int64_t>(parameter.gradient.size());
  });
  refresh(layer);
}

void Fixed::end_epoch(StepContext& context, Metrics& metrics) {
  for (Layer& layer : layers_) {
    layer.for_each([&](const Parameter& parameter) {
      if (at::equal(parameter.values, dequantized(parameter.codes, parameter.values.sizes()))) return;
      fail(ErrorCode::internal, "method fixed: \"{}\" is not the values of its codes after step {}; report it with the recipe.",
           parameter.codes.name, context.step);
    });
  }
  report(metrics);
  if (options_.switch_epoch && !switched_ && context.epoch >= *options_.switch_epoch) switch_formats();
}

void Fixed::switch_formats() {
  for (Layer& layer : layers_) {
    layer.for_each([this](Parameter& parameter) { change_format(parameter.codes, *options_.switch_weights); });
    refresh(layer);
  }
  switched_ = true;
}

std::optional<QuantizedTensor> Fixed::freeze(std::string_view weight) const {
  const Parameter* parameter = find(weight);
  if (parameter == nullptr) return std::nullopt;
  return QuantizedTensor(parameter->codes.format, tensor_shape(parameter->values), parameter->codes.codes, FixedPoint::Parameters{});
}

const Fixed::Parameter* Fixed::find(std::string_view name) const {
  for (const Layer& layer : layers_) {
    if (layer.weights.codes.name == name) return &layer.weights;
    if (layer.bias && layer.bias->codes.name == name) return &*layer.bias;
  }
  return nullptr;
}

void Fixed::complete(Model& model) const {
  for (Node& node : model.graph.nodes) {
    if (node.op != Op::Conv && node.op != Op::Gemm) continue;
    node.attributes.insert_or_assign(std::string(kInputFormatAttribute), options_.outputs.spec());
    node.attributes.insert_or_assign(std::string(kOutputFormatAttribute), options_.outputs.spec());
  }
  model.notes["fixed.arithmetic"] = arithmetic_text(options_.arithmetic);
}

}  // namespace bitwright::fixed

namespace bitwright {

std::unique_ptr<Method> make_fixed(const MethodRecipe& recipe) {
  return std::make_unique<fixed::Fixed>(fixed::parse_fixed_options(recipe));
}

}  // namespace bitwright
