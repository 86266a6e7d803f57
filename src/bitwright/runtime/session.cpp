// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/session.h"

#include "bitwright/core/error.h"
#include "bitwright/model/activation_scales.h"
#include "bitwright/model/packed_file.h"
#include "bitwright/model/passes.h"
#include "bitwright/runtime/constant_cache.h"
#include "bitwright/runtime/plan.h"

#include <algorithm>
#include <map>

namespace bitwright {
namespace {

void require_executable(const Model& model) {
  const Graph& graph = model.graph;
  if (graph.inputs.size() != 1 || graph.outputs.size() != 1) {
    fail(ErrorCode::unsupported, "{}: a session needs one input and one output (found {} and {}, need 1 and 1); split the graph.",
         graph.name, graph.inputs.size(), graph.outputs.size());
  }
  const Shape& input = graph.inputs.front().shape;
  if (input.rank() < 1 || input[0] != Shape::kDynamic) {
    fail(ErrorCode::unsupported,
         "{}: the first extent of the input is not the batch (found {}, need ? first); export with a dynamic batch.", graph.name,
         input.to_string());
  }
  const std::string& output = graph.outputs.front();
  if (model.weights.contains(output)) {
    fail(ErrorCode::unsupported, "{}: the output is a weight (found \"{}\", need a computed value); check the graph.", graph.name, output);
  }
}

Shape without_batch(const Shape& shape) { return Shape(std::vector<std::int64_t>(shape.dims().begin() + 1, shape.dims().end())); }

}  // namespace

class Session::Impl {
 public:
  Impl(Model model, SessionOptions options) : model_(std::move(model)), threads_(options.threads), activations_(options.activations) {
    if (threads_ < 1) {
      fail(ErrorCode::usage, "{}: a session needs at least one thread (found {}, need 1 or more); correct the options.", model_.graph.name,
           threads_);
    }
    validate(model_);
    require_executable(model_);
    scales_ = activation_scales(model_.graph);
    prepared_ = fold_batch_normalization(remove_training_nodes(model_));
    const ShapeMap one = infer_shapes(model_.graph, weight_shapes(model_), 1);
    const ShapeMap two = infer_shapes(model_.graph, weight_shapes(model_), 2);
    const std::string& output = model_.graph.outputs.front();
    if (one.at(output).rank() < 1 || two.at(output) != one.at(output).with_dim(0, 2 * one.at(output)[0]) || one.at(output)[0] != 1) {
      fail(ErrorCode::unsupported,
           "{}: the first extent of output \"{}\" is not the batch (found {} for 2 images, need 2 first); rewrite the graph.",
           model_.graph.name, output, two.at(output).to_string());
    }
    input_shape_ = without_batch(one.at(model_.graph.inputs.front().name));
    output_shape_ = without_batch(one.at(output));
    prepare(options.batch);
  }

  void prepare(std::int64_t batch) {
    if (batch < 1)
      fail(ErrorCode::usage, "{}: the batch is too small (found {}, need 1 or more); correct the options.", model_.graph.name, batch);
    auto found = plans_.find(batch);
    if (found == plans_.end()) {
      const ThreadScope threads(threads_);
      Plan plan = make_plan(
          prepared_, {.batch = batch, .threads = threads_, .activations = activations_, .scales = scales_, .observer = {}}, constants_);
      plan.warm_up();
      found = plans_.emplace(batch, std::move(plan)).first;
    }
    plan_ = &found->second;
    batch_ = batch;
  }

  void run(std::span<const float> input, std::span<float> output) {
    require_count("input", static_cast<std::int64_t>(input.size()), plan_->input_count, input_shape_);
    require_count("output", static_cast<std::int64_t>(output.size()), plan_->output_count, output_shape_);
    const ThreadScope threads(threads_);
    plan_->run(input.data());
    std::copy_n(plan_->output, plan_->output_count, output.begin());
  }

  [[nodiscard]] const Model& model() const noexcept { return model_; }
  [[nodiscard]] const Shape& input_shape() const noexcept { return input_shape_; }
  [[nodiscard]] const Shape& output_shape() const noexcept { return output_shape_; }
  [[nodiscard]] std::int64_t batch() const noexcept { return batch_; }
  [[nodiscard]] Activations activations() const noexcept { return activations_; }
  [[nodiscard]] const Plan& plan() const noexcept { return *plan_; }

 private:
  void require_count(std::string_view what, std::int64_t found, std::int64_t need, const Shape& shape) const {
    if (found != need) {
      fail(ErrorCode::invalid_input, "{}: the {} has the wrong number of values (found {}, need {} = batch {} x {}); pass a whole batch.",
           model_.graph.name, what, found, need, batch_, shape.to_string());
    }
  }

  Model model_;
  Model prepared_;
  int threads_;
  Activations activations_;
  ActivationScales scales_;
  Shape input_shape_;
  Shape output_shape_;
  ConstantCache constants_;
  std::map<std::int64_t, Plan> plans_;
  Plan* plan_ = nullptr;
  std::int64_t batch_ = 0;
};

Session Session::open(const std::filesystem::path& packed_file, SessionOptions options) {
  return Session(load_packed(packed_file), options);
}

Session::Session(Model model, SessionOptions options) : impl_(std::make_unique<Impl>(std::move(model), options)) {}
Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

const Shape& Session::input_shape() const noexcept { return impl_->input_shape(); }
const Shape& Session::output_shape() const noexcept { return impl_->output_shape(); }
const Model& Session::model() const noexcept { return impl_->model(); }
std::int64_t Session::batch() const noexcept { return impl_->batch(); }
void Session::prepare(std::int64_t batch) { impl_->prepare(batch); }
void Session::run(std::span<const float> input, std::span<float> output) { impl_->run(input, output); }
std::int64_t Session::arena_bytes() const noexcept { return impl_->plan().arena->bytes(); }
std::vector<NodeReport> Session::describe() const { return impl_->plan().reports; }
std::vector<ValueReport> Session::values() const { return impl_->plan().values; }
Activations Session::activations() const noexcept { return impl_->activations(); }

}  // namespace bitwright
