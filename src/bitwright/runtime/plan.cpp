// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/plan.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"
#include "bitwright/kernels/isa.h"
#include "bitwright/model/fixed_point_model.h"
#include "bitwright/runtime/constant_cache.h"
#include "bitwright/runtime/fixed_plan.h"
#include "bitwright/runtime/ops/plan_ops.h"
#include "bitwright/runtime/parallel_for.h"

#include <omp.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <set>
#include <string_view>

namespace bitwright {
namespace {

PlanFunction plan_function(Op op) {
  static constexpr std::array kFunctions = {
#define BITWRIGHT_OP(Name, function, min_inputs, max_inputs, stored) &plan_##function,
#include "bitwright/model/ops.inc"
#undef BITWRIGHT_OP
  };
  return kFunctions[static_cast<std::size_t>(op)];
}

// A forced instruction set holds for oneDNN too, as far as it has a name for it; it must be said before oneDNN makes its first primitive.
void limit_onednn(Isa isa) {
  switch (isa) {
    case Isa::scalar:
    case Isa::sse4: (void)dnnl_set_max_cpu_isa(dnnl_cpu_isa_sse41); break;
    case Isa::avx2: (void)dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx2); break;
    case Isa::avx512:
    case Isa::avx512_vnni:
    case Isa::avx512_vbmi:
    case Isa::neon: break;
  }
}

// Topological, every product as late as it may be: a residual that its neighbour computes is then there when the product wants to add it.
std::vector<const Node*> planning_order(const Graph& graph) {
  std::set<std::string_view> unmade;
  for (const Node& node : graph.nodes) unmade.insert(node.outputs.begin(), node.outputs.end());
  std::vector<const Node*> waiting;
  for (const Node& node : graph.nodes) waiting.push_back(&node);
  const auto is_ready = [&unmade](const Node* node) {
    return std::ranges::none_of(node->inputs, [&unmade](const std::string& input) { return unmade.contains(input); });
  };
  const auto is_ready_and_cheap = [&](const Node* node) { return is_ready(node) && !weight_input(graph, *node); };
  std::vector<const Node*> order;
  while (!waiting.empty()) {
    auto next = std::ranges::find_if(waiting, is_ready_and_cheap);
    if (next == waiting.end()) next = std::ranges::find_if(waiting, is_ready);
    BITWRIGHT_ASSERT(next != waiting.end());
    for (const std::string& output : (*next)->outputs) unmade.erase(output);
    order.push_back(*next);
    waiting.erase(next);
  }
  return order;
}

std::string shapes_of(const PlanBuilder& builder, const Node& node) {
  std::string text;
  for (const std::string& input : node.inputs) {
    if (!input.empty()) text += (text.empty() ? "" : ", ") + input + " " + builder.shape(input).to_string();
  }
  return text;
}

void plan_node(PlanBuilder& builder, const Node& node) {
  try {
    plan_function(node.op)(builder, node);
  } catch (const dnnl::error& error) {
    fail(is_missing(error) ? ErrorCode::unsupported : ErrorCode::internal,
         "node \"{}\": oneDNN cannot run this {} (found {}; oneDNN says: {}, need a combination that it implements); rewrite the node.",
         node.name, op_entry(node.op).name, shapes_of(builder, node), error.what());
  }
}

void* within(float* buffer, const PrimitiveArgument& argument) { return reinterpret_cast<std::byte*>(buffer) + argument.offset_bytes; }

void require_success(dnnl_status_t status) {
  if (status != dnnl_success)
    fail(ErrorCode::internal, "oneDNN: a planned primitive failed (found status {}, need 0); report this.", static_cast<int>(status));
}

std::vector<BufferId> buffers_of(const std::vector<std::unique_ptr<PrimitiveStep>>& parts,
                                 const std::vector<BufferId>& (Step::*list)() const noexcept) {
  std::set<BufferId> buffers;
  for (const std::unique_ptr<PrimitiveStep>& part : parts) buffers.insert(((*part).*list)().begin(), ((*part).*list)().end());
  return {buffers.begin(), buffers.end()};
}

}  // namespace

const dnnl::engine& cpu_engine() {
  static const dnnl::engine kEngine = [] {
    limit_onednn(active_isa());
    return dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return kEngine;
}

bool is_missing(const dnnl::error& error) noexcept { return error.status == dnnl_unimplemented || error.status == dnnl_invalid_arguments; }

ThreadScope::ThreadScope(int threads) noexcept : before_(omp_get_max_threads()) { omp_set_num_threads(threads); }
ThreadScope::~ThreadScope() { omp_set_num_threads(before_); }

PrimitiveStep::PrimitiveStep(std::future<dnnl::primitive> primitive, std::vector<PrimitiveArgument> arguments)
    : Step(
          [&] {
            std::vector<BufferId> buffers;
            for (const PrimitiveArgument& argument : arguments) {
              if (!argument.constant && argument.access != PrimitiveArgument::Access::write) buffers.push_back(argument.buffer);
            }
            return buffers;
          }(),
          [&] {
            std::vector<BufferId> buffers;
            for (const PrimitiveArgument& argument : arguments) {
              if (!argument.constant && argument.access != PrimitiveArgument::Access::read) buffers.push_back(argument.buffer);
            }
            return buffers;
          }()),
      pending_(std::move(primitive)),
      arguments_(std::move(arguments)),
      stream_(cpu_engine()) {}

void PrimitiveStep::bind(std::span<float* const> buffers) {
  primitive_ = pending_.get();
  for (const PrimitiveArgument& argument : arguments_) {
    memories_.push_back(argument.constant ? argument.constant
                                          : dnnl::memory(argument.desc, cpu_engine(), within(buffers[argument.buffer], argument)));
    c_arguments_.push_back({.arg = argument.id, .memory = memories_.back().get()});
  }
}

void PrimitiveStep::rebind(BufferId buffer, const float* memory) {
  for (std::size_t i = 0; i < arguments_.size(); ++i) {
    if (arguments_[i].constant || arguments_[i].buffer != buffer) continue;
    void* const begin = within(const_cast<float*>(memory), arguments_[i]);  // only read
    if (memories_[i].get_data_handle() != begin) memories_[i].set_data_handle(begin);
  }
}

dnnl_status_t PrimitiveStep::execute() noexcept {
  return dnnl_primitive_execute(primitive_.get(), stream_.get(), static_cast<int>(c_arguments_.size()), c_arguments_.data());
}

void PrimitiveStep::run() { require_success(execute()); }

SplitStep::SplitStep(std::vector<std::unique_ptr<PrimitiveStep>> parts, std::shared_ptr<const HelperPools> pools)
    : Step(buffers_of(parts, &Step::reads), buffers_of(parts, &Step::writes)),
      parts_(std::move(parts)),
      pools_(std::move(pools)),
      statuses_(parts_.size()) {
  BITWRIGHT_ASSERT(pools_->size() + 1 >= parts_.size());
}

void SplitStep::bind(std::span<float* const> buffers) {
  for (const std::unique_ptr<PrimitiveStep>& part : parts_) part->bind(buffers);
}

void SplitStep::rebind(BufferId buffer, const float* memory) {
  for (const std::unique_ptr<PrimitiveStep>& part : parts_) part->rebind(buffer, memory);
}

void SplitStep::run() {
  parallel_for(static_cast<int>(parts_.size()), static_cast<std::int64_t>(parts_.size()), [this](std::int64_t i) {
    const auto part = static_cast<std::size_t>(i);
    std::optional<ArgumentPool::Scope> scope;
    if (part > 0) scope.emplace(*(*pools_)[part - 1]);
    statuses_[part] = parts_[part]->execute();
  });
  for (const dnnl_status_t status : statuses_) require_success(status);
}

LoopStep::LoopStep(std::vector<BufferId> reads, std::vector<BufferId> writes, Loop loop)
    : Step(std::move(reads), std::move(writes)), loop_(std::move(loop)) {}

void LoopStep::bind(std::span<float* const> buffers) {
  for (const BufferId buffer : reads()) pointers_.push_back(buffers[buffer]);
  for (const BufferId buffer : writes()) pointers_.push_back(buffers[buffer]);
}

void LoopStep::rebind(BufferId buffer, const float* memory) {
  for (std::size_t i = 0; i < reads().size(); ++i) {
    if (reads()[i] == buffer) pointers_[i] = const_cast<float*>(memory);  // only read
  }
}

void Plan::take_input(const float* input) {
  if (input_copy != nullptr) {
    std::copy_n(input, input_count, input_copy);
    return;
  }
  for (Step* reader : input_readers) reader->rebind(input_buffer, input);
}

void Plan::warm_up() {
  const std::vector<float> zeros(static_cast<std::size_t>(input_count));
  take_input(zeros.data());
  for (const std::unique_ptr<Step>& step : steps) step->run();
}

void Plan::run(const float* input) {
  {
    const ArgumentPool::Scope scope(*pool);
    take_input(input);
  }
  for (const std::unique_ptr<Step>& step : steps) {
    const ArgumentPool::Scope scope(*pool);
    step->run();
  }
}

Plan make_plan(const Model& model, const PlanRequest& request, ConstantCache& constants) {
  try {
    if (is_fixed_point(model.graph)) return make_fixed_plan(model, request, constants);
    PlanBuilder builder(model, request, constants);
    builder.observe_new_values();
    for (const Node* node : planning_order(model.graph)) {
      if (builder.is_fused(*node)) continue;
      plan_node(builder, *node);
      builder.mark_planned(*node);
      builder.observe_new_values();
    }
    return std::move(builder).finish();
  } catch (const dnnl::error& error) {
    fail(ErrorCode::internal, "{}: oneDNN failed while planning (found: {}, need success); report this.", model.graph.name, error.what());
  }
}

}  // namespace bitwright
