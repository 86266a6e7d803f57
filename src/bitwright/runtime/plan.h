// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/activation_scales.h"
#include "bitwright/runtime/activations.h"
#include "bitwright/runtime/arena.h"
#include "bitwright/runtime/argument_pool.h"
#include "bitwright/runtime/session.h"

#include <oneapi/dnnl/dnnl.hpp>

#include <functional>
#include <future>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace bitwright {

/// Number of a buffer in a plan's arena.
using BufferId = std::size_t;

/// One thing that a run does. Everything it needs is made at plan time: `run` allocates nothing.
class Step {
 public:
  Step(std::vector<BufferId> reads, std::vector<BufferId> writes) : reads_(std::move(reads)), writes_(std::move(writes)) {}
  virtual ~Step() = default;
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;

  [[nodiscard]] const std::vector<BufferId>& reads() const noexcept { return reads_; }
  [[nodiscard]] const std::vector<BufferId>& writes() const noexcept { return writes_; }

  /// Learns where the buffers are; called once, before the first `run`.
  virtual void bind(std::span<float* const> buffers) = 0;
  /// Says that a buffer which the step only reads lies elsewhere from now on. Requires: bound.
  virtual void rebind(BufferId buffer, const float* memory) = 0;
  virtual void run() = 0;

 private:
  std::vector<BufferId> reads_;
  std::vector<BufferId> writes_;
};

/// What an argument of a oneDNN primitive is bound to: a buffer of the arena, or a constant made at plan time.
struct PrimitiveArgument {
  int id = 0;  ///< DNNL_ARG_…
  dnnl::memory::desc desc;
  BufferId buffer = 0;
  dnnl::memory constant;          ///< used instead of the buffer when not empty
  std::int64_t offset_bytes = 0;  ///< of the memory within the buffer
  enum class Access { read, write, update } access = Access::read;
};

/// A oneDNN primitive.
class PrimitiveStep final : public Step {
 public:
  PrimitiveStep(std::future<dnnl::primitive> primitive, std::vector<PrimitiveArgument> arguments);
  /// Waits for the primitive and throws what its making threw.
  void bind(std::span<float* const> buffers) override;
  void rebind(BufferId buffer, const float* memory) override;
  void run() override;
  /// As `run`; returns what oneDNN says.
  [[nodiscard]] dnnl_status_t execute() noexcept;

 private:
  std::future<dnnl::primitive> pending_;
  dnnl::primitive primitive_;
  std::vector<PrimitiveArgument> arguments_;
  std::vector<dnnl::memory> memories_;
  std::vector<dnnl_exec_arg_t> c_arguments_;
  dnnl::stream stream_;
};

/// Where the calls of a plan's second and further threads take their memory from.
using HelperPools = std::vector<std::unique_ptr<ArgumentPool>>;

/// Primitives that make the parts of one value, each on a thread of its own.
class SplitStep final : public Step {
 public:
  /// `pools`: for all threads but the first, which has the plan's. Requires: each primitive made for one thread; as many pools as threads
  /// that help.
  SplitStep(std::vector<std::unique_ptr<PrimitiveStep>> parts, std::shared_ptr<const HelperPools> pools);
  void bind(std::span<float* const> buffers) override;
  void rebind(BufferId buffer, const float* memory) override;
  void run() override;

 private:
  std::vector<std::unique_ptr<PrimitiveStep>> parts_;
  std::shared_ptr<const HelperPools> pools_;
  std::vector<dnnl_status_t> statuses_;
};

/// A loop of ours over buffers of the arena: sources first, then destinations, in the order given.
class LoopStep final : public Step {
 public:
  using Loop = std::function<void(std::span<float* const> buffers)>;
  LoopStep(std::vector<BufferId> reads, std::vector<BufferId> writes, Loop loop);
  void bind(std::span<float* const> buffers) override;
  void rebind(BufferId buffer, const float* memory) override;
  void run() override { loop_(pointers_); }

 private:
  Loop loop_;
  std::vector<float*> pointers_;
};

/// Called in a run that calibrates, for each value as soon as it is made: its name and elements, float32.
using ValueObserver = std::function<void(const std::string& value, std::span<const float> elements)>;

/// What a plan is made for.
struct PlanRequest {
  std::int64_t batch = 1;
  int threads = 1;
  Activations activations = Activations::float32;
  ActivationScales scales;  ///< of values by name; only int8 reads them
  ValueObserver observer;   ///< may be empty
};

/// Everything needed to run one batch size.
struct Plan {
  std::vector<std::unique_ptr<Step>> steps;
  std::unique_ptr<Arena> arena;
  std::unique_ptr<ArgumentPool> pool = std::make_unique<ArgumentPool>();
  BufferId input_buffer = 0;
  std::vector<Step*> input_readers;  ///< they read the images where the caller holds them
  float* input_copy = nullptr;       ///< where images are copied to instead, when some step would write over them or they are the result
  const float* output = nullptr;
  std::int64_t input_count = 0;
  std::int64_t output_count = 0;
  std::vector<NodeReport> reports;
  std::vector<ValueReport> values;

  /// For the first time: some primitives set things up for good then, which must come from the heap.
  void warm_up();
  /// Requires: `input_count` values, which no step writes to.
  void run(const float* input);

 private:
  void take_input(const float* input);
};

class ConstantCache;

/// Plans a prepared model (graph passes done). Throws: `Error(unsupported)` naming the node that can't be executed.
[[nodiscard]] Plan make_plan(const Model& model, const PlanRequest& request, ConstantCache& constants);

/// The processor, as oneDNN sees it.
[[nodiscard]] const dnnl::engine& cpu_engine();

/// Whether oneDNN says that it has no kernel for what was described to it.
[[nodiscard]] bool is_missing(const dnnl::error& error) noexcept;

/// Makes OpenMP use exactly `threads` threads in regions that this thread starts.
class ThreadScope {
 public:
  explicit ThreadScope(int threads) noexcept;
  ~ThreadScope();
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int before_;
};

}  // namespace bitwright
