// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/plan_builder.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"
#include "bitwright/runtime/ops/packed_product.h"
#include "bitwright/runtime/strided_copy.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

namespace bitwright {
namespace {

std::int64_t bytes_of(const dnnl::memory::desc& desc) { return static_cast<std::int64_t>(desc.get_size()); }

Activations usable(Activations wanted, const std::string& refusal) { return refusal.empty() ? wanted : Activations::float32; }

// A kernel that reads packed codes takes float32: at its batches the weights are what costs, and it reads the fewest bytes of them.
bool multiplies_narrow(const Model& model, const ShapeMap& shapes, const Node& node) {
  const auto weight = model.weights.find(node.inputs[1]);
  if (weight == model.weights.end()) return false;
  if (node.op == Op::Conv) return true;
  const std::int64_t depth = weight_shape(weight->second)[node.op == Op::Gemm ? 1 : 0];
  const MatrixOrder order = node.op == Op::Gemm ? MatrixOrder::by_output : MatrixOrder::by_input;
  return depth > 0 && !has_packed_kernel(weight->second, order, shapes.find(node.inputs[0])->second.element_count() / depth);
}

}  // namespace

dnnl::memory::desc plain_desc(const Shape& shape) {
  dnnl::memory::dims strides(shape.rank(), 1);
  for (std::size_t axis = shape.rank(); axis-- > 1;) strides[axis - 1] = strides[axis] * shape[axis];
  return {shape.dims(), dnnl::memory::data_type::f32, strides};
}

dnnl::memory::desc narrow_desc(const Shape& shape, ValueType type) {
  if (shape.rank() != 4) return with_type(plain_desc(shape), type);
  const std::int64_t row = shape[3] * shape[1];
  return {shape.dims(), onednn_type(type), {shape[2] * row, 1, row, shape[1]}};
}

dnnl::memory::desc any_desc(const dnnl::memory::dims& dims) { return {dims, dnnl::memory::data_type::f32, dnnl::memory::format_tag::any}; }

PrimitiveArgument reads(int id, const PlannedValue& value) {
  return {.id = id, .desc = value.desc, .buffer = value.buffer, .constant = {}, .access = PrimitiveArgument::Access::read};
}
PrimitiveArgument writes(int id, const PlannedValue& value) {
  return {.id = id, .desc = value.desc, .buffer = value.buffer, .constant = {}, .access = PrimitiveArgument::Access::write};
}
PrimitiveArgument updates(int id, const PlannedValue& value) {
  return {.id = id, .desc = value.desc, .buffer = value.buffer, .constant = {}, .access = PrimitiveArgument::Access::update};
}
PrimitiveArgument constant_argument(int id, const dnnl::memory& memory) {
  return {.id = id, .desc = memory.get_desc(), .buffer = 0, .constant = memory, .access = PrimitiveArgument::Access::read};
}

dnnl::primitive_attr strict_attributes() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attributes.set_fpmath_mode(dnnl::fpmath_mode::strict);
  return attributes;
}

PlanBuilder::PlanBuilder(const Model& model, const PlanRequest& request, ConstantCache& constants)
    : model_(model),
      shapes_(infer_shapes(model.graph, weight_shapes(model), request.batch)),
      threads_(request.threads),
      refusal_(activations_refusal(request.activations)),
      forms_(model.graph, usable(request.activations, refusal_), request.scales,
             [this](const Node& node) { return multiplies_narrow(model_, shapes_, node); }),
      observer_(request.observer),
      constants_(constants),
      maker_(request.threads) {
  if (activations() == Activations::int8) {
    std::int64_t largest = 0;
    for (const auto& [name, weight] : model.weights) largest = std::max(largest, weight_shape(weight).element_count());
    passing_weights_.codes.reserve(static_cast<std::size_t>(largest));
  }
  const GraphInput& input = model.graph.inputs.front();
  const PlannedValue& value = make_value(input.name, plain_desc(shape(input.name)));
  input_buffer_ = value.buffer;
  plan_.input_count = shape(input.name).element_count();
}

const Shape& PlanBuilder::shape(std::string_view value) const { return shapes_.find(value)->second; }

const Weight& PlanBuilder::weight(const Node& node, std::size_t input) const {
  const auto found = model_.weights.find(node.inputs[input]);
  if (found == model_.weights.end()) {
    fail(ErrorCode::unsupported,
         "node \"{}\": input {} is computed by the graph (found value \"{}\", need a weight of the model); rewrite the node.", node.name,
         input, node.inputs[input]);
  }
  return found->second;
}

std::vector<float> PlanBuilder::weight_floats(const Node& node, std::size_t input) const {
  if (node.inputs.size() <= input || node.inputs[input].empty()) return {};
  return weight_values(weight(node, input));
}

const PlannedValue& PlanBuilder::stored_value(const Node& node, std::size_t input) const {
  const auto found = values_.find(node.inputs[input]);
  if (found == values_.end()) {
    fail(ErrorCode::unsupported,
         "node \"{}\": input {} is a weight (found \"{}\", need a value that the graph computes); rewrite the node.", node.name, input,
         node.inputs[input]);
  }
  return found->second;
}

PlannedValue PlanBuilder::value(const Node& node, std::size_t input) {
  const PlannedValue& stored = stored_value(node, input);
  if (stored.form().type == ValueType::float32) return stored;
  return value_as(node.inputs[input], with_type(stored.desc, ValueType::float32));
}

PlannedValue PlanBuilder::floating_value(const Node& node, std::size_t input) {
  const PlannedValue& stored = stored_value(node, input);
  return is_code(stored.form().type) ? value(node, input) : stored;
}

std::optional<ValueForm> PlanBuilder::narrow_source(const Node& node, std::vector<std::string>& refusals) const {
  if (!refusal_.empty()) refusals.push_back(refusal_);
  if (activations() == Activations::float32) return std::nullopt;
  const ValueForm stored = stored_value(node, 0).form();
  if (stored.type != ValueType::float32) return stored;
  const std::optional<ValueForm> form = forms_.narrow(node.inputs[0]);
  if (!form) refusals.push_back("int8: \"" + node.inputs[0] + "\" has no scale, this kernel needs a calibrated model");
  return form;
}

PlannedValue PlanBuilder::value_as(const std::string& name, const dnnl::memory::desc& desc, float scale) {
  const PlannedValue original = values_.find(name)->second;
  if (original.desc == desc && original.scale == scale) return original;
  std::vector<PlannedValue>& conversions = converted_[name];
  for (const PlannedValue& converted : conversions) {
    if (converted.desc == desc && converted.scale == scale) return converted;
  }
  const PlannedValue converted{.desc = desc, .buffer = new_buffer(bytes_of(desc)), .scale = scale};
  add_reorder(name, original, converted);
  return conversions.emplace_back(converted);
}

void PlanBuilder::add_reorder(const std::string& name, const PlannedValue& src, const PlannedValue& dst) {
  std::string kernel;
  const bool is_narrow = src.form().type != ValueType::float32 || dst.form().type != ValueType::float32;
  const std::optional<StridedCopy> copy = is_narrow ? std::nullopt : make_strided_copy(src.desc, dst.desc);
  if (is_narrow) {
    kernel = add_conversion(name, src, dst);
  } else if (copy && copy->is_transposition()) {
    // oneDNN's kernel for this allocates on every thread but the first.
    kernel = "loop:transpose";
    add_loop({src.buffer}, {dst.buffer}, [copy = *copy, threads = threads_](std::span<float* const> buffers) {
      copy.run_transposition(buffers[0], buffers[1], threads);
    });
  } else {
    const dnnl::reorder::primitive_desc reorder(cpu_engine(), src.desc, cpu_engine(), dst.desc, strict_attributes());
    kernel = std::string("onednn:reorder:") + reorder.impl_info_str();
    add_primitive(dnnl::reorder(reorder), reorder.scratchpad_desc(), {reads(DNNL_ARG_FROM, src), writes(DNNL_ARG_TO, dst)});
  }
  plan_.reports.push_back({.node = name, .op = "Reorder", .kernel = std::move(kernel), .refusals = {}, .type = src.form().type});
}

// A loop of ours: oneDNN's reorders may allocate on every thread but the first.
std::string PlanBuilder::add_conversion(const std::string& name, const PlannedValue& src, const PlannedValue& dst) {
  // float32 in blocks first takes an order with strides.
  const PlannedValue from = strides_of(src.desc) ? src : value_as(name, plain_desc(shape(name)));
  add_loop({from.buffer}, {dst.buffer},
           [conversion = Conversion(from.desc.dims(), {.type = from.form().type, .strides = *strides_of(from.desc), .scale = from.scale},
                                    {.type = dst.form().type, .strides = *strides_of(dst.desc), .scale = dst.scale}),
            name, graph = model_.graph.name, threads = threads_](std::span<float* const> buffers) {
             if (conversion.run(buffers[0], buffers[1], threads)) return;
             fail(ErrorCode::numerical, "{}: \"{}\" holds NaN (found it, need numbers); look where the image was made.", graph, name);
           });
  plan_.values.push_back({.value = name, .form = dst.form(), .is_conversion = true});
  return "loop:" + std::string(value_type_name(from.form().type)) + "_to_" + std::string(value_type_name(dst.form().type));
}

PlannedValue PlanBuilder::plain_value(const Node& node, std::size_t input) {
  (void)stored_value(node, input);
  return value_as(node.inputs[input], plain_desc(shape(node.inputs[input])));
}

BufferId PlanBuilder::new_buffer(std::int64_t bytes) {
  buffer_bytes_.push_back(bytes);
  return buffer_bytes_.size() - 1;
}

PlannedValue PlanBuilder::make_value(const std::string& name, const dnnl::memory::desc& desc, float scale) {
  const PlannedValue value{.desc = desc, .buffer = new_buffer(bytes_of(desc)), .scale = scale};
  make_alias(name, value);
  return value;
}

void PlanBuilder::make_alias(const std::string& name, const PlannedValue& other) {
  values_.insert_or_assign(name, other);
  plan_.values.push_back({.value = name, .form = other.form()});
  unobserved_.push_back(name);
}

void PlanBuilder::observe_new_values() {
  const std::vector<std::string> names = std::exchange(unobserved_, {});
  if (!observer_) return;
  for (const std::string& name : names) {
    if (!values_.contains(name)) continue;
    const PlannedValue plain = value_as(name, plain_desc(shape(name)));
    add_loop({plain.buffer}, {}, [observer = observer_, name, count = shape(name).element_count()](std::span<float* const> buffers) {
      observer(name, {buffers[0], static_cast<std::size_t>(count)});
    });
  }
}

const Node* PlanBuilder::only_reader(const std::string& value) const {
  if (std::ranges::count(model_.graph.outputs, value) > 0) return nullptr;
  const Node* reader = nullptr;
  for (const Node& node : model_.graph.nodes) {
    const auto uses = std::ranges::count(node.inputs, value);
    if (uses == 0) continue;
    if (uses > 1 || reader != nullptr) return nullptr;
    reader = &node;
  }
  return reader;
}

bool PlanBuilder::is_overwritable(const std::string& name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) return false;
  // Every value that lies in this buffer must be done with: the node being planned counts as a reader, so it never writes over its own
  // source. Aliases are rare enough to refuse them outright.
  const auto sharers = std::ranges::count_if(values_, [&](const auto& entry) { return entry.second.buffer == found->second.buffer; });
  if (sharers != 1 || std::ranges::count(model_.graph.outputs, name) > 0) return false;
  std::int64_t unplanned = 0;
  for (const Node& node : model_.graph.nodes) {
    if (!fused_.contains(&node) && !planned_.contains(&node)) unplanned += std::ranges::count(node.inputs, name);
  }
  return unplanned == 0;
}

void PlanBuilder::fuse(const Node& node, const Node& into) {
  fused_.insert(&node);
  report(node, "fused into " + into.name);
}

bool PlanBuilder::fuse_relu(const Node& node, std::string& output) {
  output = node.outputs.front();
  return fuse_relu_behind(node, output);
}

const std::string& PlanBuilder::after_relu(const Node& node) const {
  const Node* next = only_reader(node.outputs.front());
  return next != nullptr && next->op == Op::Relu ? next->outputs.front() : node.outputs.front();
}

bool PlanBuilder::fuse_relu_behind(const Node& into, std::string& output) {
  const Node* next = only_reader(output);
  if (next == nullptr || next->op != Op::Relu) return false;
  fuse(*next, into);
  output = next->outputs.front();
  return true;
}

FusedTail PlanBuilder::fuse_tail(const Node& node) {
  FusedTail tail;
  tail.output = node.outputs.front();
  const Node* next = only_reader(tail.output);
  if (next != nullptr && next->op == Op::BatchNormalization) {
    const std::vector<float> scale = weight_floats(*next, 1);
    const std::vector<float> shift = weight_floats(*next, 2);
    const std::vector<float> mean = weight_floats(*next, 3);
    const std::vector<float> variance = weight_floats(*next, 4);
    const auto epsilon = static_cast<double>(next->float_attribute("epsilon", 1e-5F));
    for (std::size_t c = 0; c < scale.size(); ++c) {
      const double factor = static_cast<double>(scale[c]) / std::sqrt(static_cast<double>(variance[c]) + epsilon);
      tail.scale.push_back(static_cast<float>(factor));
      tail.shift.push_back(static_cast<float>(static_cast<double>(shift[c]) - factor * static_cast<double>(mean[c])));
    }
    fuse(*next, node);
    tail.output = next->outputs.front();
    next = only_reader(tail.output);
  }
  if (next != nullptr && next->op == Op::Add) {
    const std::string& other = next->inputs[next->inputs[0] == tail.output ? 1 : 0];
    // Planned means computed before this step; the other product of the sum, planned later, will take this one as its residual. One that
    // repeats is added on its own.
    if (values_.contains(other) && shape(other) == shape(tail.output)) {
      tail.residual = other;
      fuse(*next, node);
      tail.output = next->outputs.front();
    }
  }
  tail.has_relu = fuse_relu_behind(node, tail.output);
  return tail;
}

FusedTail PlanBuilder::fuse_bias(const Node& node, std::int64_t outputs) {
  FusedTail tail;
  tail.output = node.outputs.front();
  if (const Node* next = only_reader(tail.output); next != nullptr && next->op == Op::Add) {
    const std::size_t other = next->inputs[0] == tail.output ? 1 : 0;
    if (is_weight(next->inputs[other]) && shape(next->inputs[other]) == Shape{outputs}) {
      tail.shift = weight_floats(*next, other);
      fuse(*next, node);
      tail.output = next->outputs.front();
    }
  }
  tail.has_relu = fuse_relu_behind(node, tail.output);
  return tail;
}

PlannedValue PlanBuilder::destination_of(const FusedTail& tail, const dnnl::memory::desc& desc) {
  if (!tail.residual) return make_value(tail.output, desc);
  const PlannedValue residual = values_.find(*tail.residual)->second;
  if (residual.desc == desc && residual.buffer != input_buffer_ && is_overwritable(*tail.residual)) {
    values_.erase(*tail.residual);
    make_alias(tail.output, residual);
    return residual;
  }
  const PlannedValue dst = make_value(tail.output, desc);
  add_reorder(*tail.residual, residual, dst);
  return dst;
}

PlannedValue PlanBuilder::destination_of(const FusedTail& tail, const PlannedValue& wanted, const ValueForm& form) {
  if (!tail.residual) return make_value(tail.output, wanted.desc, wanted.scale);
  const PlannedValue residual = values_.find(*tail.residual)->second;
  const PlannedValue before{.desc = with_type(wanted.desc, form.type), .buffer = residual.buffer, .scale = form.scale};
  if (residual.desc == before.desc && residual.scale == form.scale && residual.buffer != input_buffer_ && is_overwritable(*tail.residual)) {
    values_.erase(*tail.residual);
    const PlannedValue dst{.desc = wanted.desc, .buffer = residual.buffer, .scale = wanted.scale};
    make_alias(tail.output, dst);
    return dst;
  }
  const PlannedValue dst = make_value(tail.output, wanted.desc, wanted.scale);
  add_reorder(*tail.residual, residual, {.desc = before.desc, .buffer = dst.buffer, .scale = form.scale});
  return dst;
}

dnnl::memory PlanBuilder::constant(const std::string& key, std::span<const std::int8_t> codes, const dnnl::memory::desc& plain,
                                   const dnnl::memory::desc& desc) {
  return stored_constant(key, codes.data(), codes.size_bytes(), plain, desc);
}

dnnl::memory PlanBuilder::constant(const std::string& key, std::span<const float> values, const dnnl::memory::desc& plain,
                                   const dnnl::memory::desc& desc) {
  return stored_constant(key, values.data(), values.size_bytes(), plain, desc);
}

dnnl::memory PlanBuilder::stored_constant(const std::string& key, const void* values, std::size_t bytes, const dnnl::memory::desc& plain,
                                          const dnnl::memory::desc& desc) {
  BITWRIGHT_ASSERT(bytes == plain.get_size());
  return constants_.memory(key, desc, [&] {
    dnnl::memory target = constants_.allocate(desc, cpu_engine());
    if (plain == desc) {
      std::memcpy(target.get_data_handle(), values, bytes);
      return target;
    }
    const ThreadScope one(1);  // the session's other threads make primitives meanwhile
    dnnl::stream stream(cpu_engine());
    dnnl::memory from(plain, cpu_engine(), const_cast<void*>(values));  // only read
    dnnl::reorder(from, target).execute(stream, from, target);
    stream.wait();
    return target;
  });
}

void PlanBuilder::add_step(std::unique_ptr<Step> step) { plan_.steps.push_back(std::move(step)); }

void PlanBuilder::add_primitive(const dnnl::primitive& primitive, const dnnl::memory::desc& scratchpad,
                                std::vector<PrimitiveArgument> arguments) {
  std::promise<dnnl::primitive> made;
  made.set_value(primitive);
  add_step(step_of(made.get_future(), scratchpad, std::move(arguments)));
}

void PlanBuilder::add_primitive(PrimitiveMaker::Make make, const dnnl::memory::desc& scratchpad, std::vector<PrimitiveArgument> arguments) {
  add_step(step_of(maker_.ask_for(std::move(make)), scratchpad, std::move(arguments)));
}

void PlanBuilder::add_parts(std::vector<Part> parts) {
  if (!helper_pools_) {
    HelperPools pools;
    for (int i = 1; i < threads_; ++i) pools.push_back(std::make_unique<ArgumentPool>());
    helper_pools_ = std::make_shared<const HelperPools>(std::move(pools));
  }
  std::vector<std::unique_ptr<PrimitiveStep>> steps;
  for (Part& part : parts) {
    const auto make_for_one_thread = [make = std::move(part.make)] {
      const ThreadScope one(1);
      return make();
    };
    steps.push_back(step_of(maker_.ask_for(make_for_one_thread), part.scratchpad, std::move(part.arguments)));
  }
  add_step(std::make_unique<SplitStep>(std::move(steps), helper_pools_));
}

std::unique_ptr<PrimitiveStep> PlanBuilder::step_of(std::future<dnnl::primitive> primitive, const dnnl::memory::desc& scratchpad,
                                                    std::vector<PrimitiveArgument> arguments) {
  if (scratchpad.get_size() > 0) {
    arguments.push_back(writes(DNNL_ARG_SCRATCHPAD, {.desc = scratchpad, .buffer = new_buffer(bytes_of(scratchpad))}));
  }
  return std::make_unique<PrimitiveStep>(std::move(primitive), std::move(arguments));
}

void PlanBuilder::add_loop(std::vector<BufferId> reads, std::vector<BufferId> writes, LoopStep::Loop loop) {
  add_step(std::make_unique<LoopStep>(std::move(reads), std::move(writes), std::move(loop)));
}

void PlanBuilder::report(const Node& node, std::string kernel, std::vector<std::string> refusals, ValueType type) {
  const std::string mode(activations_name(activations()));
  const bool says_why = std::ranges::any_of(refusals, [&mode](const std::string& refusal) { return refusal.starts_with(mode + ":"); });
  const bool computes = kernel != "view" && !kernel.starts_with("fused into ");
  if (activations() != Activations::float32 && type == ValueType::float32 && computes && !says_why)
    refusals.push_back(mode + ": no kernel for this node takes it, it runs in float32");
  plan_.reports.push_back({.node = node.name,
                           .op = std::string(op_entry(node.op).name),
                           .kernel = std::move(kernel),
                           .refusals = std::move(refusals),
                           .type = type});
}

Plan PlanBuilder::finish() && {
  const std::string& output = model_.graph.outputs.front();
  const PlannedValue result = value_as(output, plain_desc(shape(output)));
  const auto last = static_cast<std::int64_t>(plan_.steps.size());

  std::vector<BufferLifetime> lifetimes(buffer_bytes_.size());
  for (std::size_t i = 0; i < lifetimes.size(); ++i) lifetimes[i] = {.bytes = buffer_bytes_[i], .first_step = last, .last_step = 0};
  const auto touch = [&](BufferId buffer, std::int64_t step) {
    lifetimes[buffer].first_step = std::min(lifetimes[buffer].first_step, step);
    lifetimes[buffer].last_step = std::max(lifetimes[buffer].last_step, step);
  };
  for (const std::unique_ptr<Step>& step : plan_.steps) {
    if (std::ranges::count(step->reads(), input_buffer_) > 0) plan_.input_readers.push_back(step.get());
  }
  const bool is_kept = result.buffer != input_buffer_ && std::ranges::none_of(plan_.steps, [this](const std::unique_ptr<Step>& step) {
                         return std::ranges::count(step->writes(), input_buffer_) > 0;
                       });
  if (is_kept) {
    lifetimes[input_buffer_].bytes = 0;  // the images stay where the caller holds them
  } else {
    touch(input_buffer_, 0);
  }
  touch(result.buffer, last);
  for (std::int64_t step = 0; step < last; ++step) {
    for (const BufferId buffer : plan_.steps[static_cast<std::size_t>(step)]->reads()) touch(buffer, step);
    for (const BufferId buffer : plan_.steps[static_cast<std::size_t>(step)]->writes()) touch(buffer, step);
  }

  const ArenaLayout layout = lay_out_arena(lifetimes);
  plan_.arena = std::make_unique<Arena>(layout.bytes);
  std::vector<float*> pointers;
  for (const std::int64_t offset : layout.offsets) pointers.push_back(plan_.arena->at(offset));
  for (const std::unique_ptr<Step>& step : plan_.steps) step->bind(pointers);
  plan_.input_buffer = input_buffer_;
  if (!is_kept) plan_.input_copy = pointers[input_buffer_];
  plan_.output = pointers[result.buffer];
  plan_.output_count = shape(output).element_count();
  return std::move(plan_);
}

}  // namespace bitwright
