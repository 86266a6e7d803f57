// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/trainer.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"
#include "bitwright/train/state.h"

#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace bitwright {
namespace {

/// The batch's images and labels as tensors that share the batch's memory.
at::Tensor images_of(const Batch& batch, const Shape& image_shape) {
  std::vector<std::int64_t> dims = {batch.size};
  dims.insert(dims.end(), image_shape.dims().begin(), image_shape.dims().end());
  return at::from_blob(const_cast<float*>(batch.images.data()), dims, at::kFloat);
}

at::Tensor labels_of(const Batch& batch) { return at::from_blob(const_cast<std::int64_t*>(batch.labels.data()), {batch.size}, at::kLong); }

/// Shape of one image, from the graph's only input.
Shape image_shape_of(const Graph& graph) {
  const std::vector<std::int64_t>& dims = graph.inputs[0].shape.dims();
  return Shape(std::vector<std::int64_t>(dims.begin() + 1, dims.end()));
}

std::vector<Phase> phases_of(const std::vector<std::unique_ptr<Method>>& methods, std::int64_t epochs) {
  std::vector<Phase> phases;
  std::string_view owner;
  for (const auto& method : methods) {
    std::vector<Phase> wished = method->phases(epochs);
    if (wished.empty()) continue;
    if (!phases.empty()) {
      fail(ErrorCode::usage, "recipe: methods {} and {} both divide training into phases; keep one of them.", owner, method->name());
    }
    phases = std::move(wished);
    owner = method->name();
  }
  if (phases.empty()) phases.push_back({"train", epochs});
  return phases;
}

constexpr auto kReportInterval = std::chrono::milliseconds(200);

}  // namespace

Evaluation evaluate(Network& network, Loader& loader) {
  const at::NoGradGuard no_grad;
  const Shape image_shape = image_shape_of(network.graph());
  Evaluation result;
  loader.seek(0, 0);
  for (std::int64_t i = 0; i < loader.batches_per_epoch(); ++i) {
    const Batch& batch = loader.next();
    const at::Tensor classes = network.forward(images_of(batch, image_shape).to(network.device()), Mode::eval).argmax(1);
    result.correct += classes.eq(labels_of(batch).to(network.device())).sum().item<std::int64_t>();
    result.images += batch.size;
  }
  return result;
}

std::vector<std::unique_ptr<Method>> attach_methods(const Recipe& recipe, Network& network) {
  std::vector<std::unique_ptr<Method>> methods;
  for (const MethodRecipe& entry : recipe.methods) {
    methods.push_back(make_method(entry));
    methods.back()->attach(network, methods.back()->default_plan(network));
  }
  return methods;
}

Trainer::Trainer(const Recipe& recipe, Network& network, std::vector<std::unique_ptr<Method>>& methods, Loader& training,
                 Loader& evaluation, const Run& run, const TrainEvents& events)
    : recipe_(recipe),
      network_(network),
      methods_(methods),
      training_(training),
      evaluation_(evaluation),
      run_(run),
      events_(events),
      fingerprint_(recipe_fingerprint(recipe)),
      optimizer_(network, recipe.train, methods),
      checkpoints_(run.checkpoint_folder()),
      phases_(phases_of(methods, recipe.train.epochs)) {}

StepContext Trainer::context() {
  return {.network = network_,
          .optimizer = optimizer_,
          .phase = static_cast<std::size_t>(position_.phase),
          .step = position_.step,
          .epoch = position_.epoch,
          .seed = recipe_.train.seed};
}

std::int64_t Trainer::total_steps() const {
  std::int64_t epochs = 0;
  for (const Phase& phase : phases_) epochs += phase.epochs;
  return epochs * training_.batches_per_epoch();
}

// A phase of no epochs takes no step; its schedule is never asked.
std::int64_t Trainer::schedule_steps(const Phase& phase) const {
  return std::max<std::int64_t>(1, phase.epochs * training_.batches_per_epoch());
}

double Trainer::seconds() const {
  return position_.seconds + std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

bool Trainer::train() {
  if (last_checkpoint_.empty()) save_checkpoint();
  training_.seek(position_.epoch, position_.batch);
  const std::int64_t batches = training_.batches_per_epoch();
  epoch_start_ = std::chrono::steady_clock::now();
  while (position_.phase < static_cast<std::int64_t>(phases_.size())) {
    const Phase& phase = phases_[static_cast<std::size_t>(position_.phase)];
    if (position_.phase_begun == 0) begin_phase();
    while (position_.epoch_in_phase < phase.epochs) {
      while (position_.batch < batches) {
        take_step();
        if (events_.stop_requested != nullptr && events_.stop_requested->load()) {
          save_checkpoint();
          return false;
        }
        const std::int64_t every = recipe_.train.checkpoint_every;
        if (every > 0 && position_.step % every == 0 && position_.batch < batches) save_checkpoint();
      }
      end_epoch();
      save_checkpoint();
    }
    position_.epoch_in_phase = 0;
    position_.phase_begun = 0;
    ++position_.phase;
  }
  return true;
}

void Trainer::begin_phase() {
  const Phase& phase = phases_[static_cast<std::size_t>(position_.phase)];
  schedule_.emplace(recipe_.train, schedule_steps(phase));
  StepContext now = context();
  for (const auto& method : methods_) method->begin_phase(now);
  position_.phase_begun = 1;
}

void Trainer::take_step() {
  const std::int64_t step_in_phase = position_.epoch_in_phase * training_.batches_per_epoch() + position_.batch;
  optimizer_.set_learning_rate(schedule_->rate(step_in_phase));
  const Batch& batch = training_.next();
  const at::Tensor images = images_of(batch, image_shape_of(network_.graph())).to(network_.device());
  const at::Tensor labels = labels_of(batch).to(network_.device());
  optimizer_.zero_gradients();
  const at::Tensor logits = network_.forward(images, Mode::train, position_.step);
  at::Tensor loss = at::cross_entropy_loss(logits, labels);
  StepContext now = context();
  now.images = &images;
  now.labels = &labels;
  now.logits = &logits;
  for (const auto& method : methods_) loss = method->loss(now, loss);
  const double value = loss.item<double>();
  if (!std::isfinite(value)) fail_not_finite(fmt::format("the loss is not finite at step {} (found {}", position_.step + 1, value), images);
  loss.backward();
  for (const auto& method : methods_) method->after_backward(now);
  optimizer_.step();
  for (const auto& method : methods_) method->after_step(now);
  position_.epoch_loss += value * static_cast<double>(batch.size);
  position_.epoch_images += batch.size;
  ++position_.batch;
  ++position_.step;
  if (events_.on_step) events_.on_step(position_.step, value);
  report_progress(value);
}

void Trainer::end_epoch() {
  ++position_.epoch;
  ++position_.epoch_in_phase;
  const double loss = position_.epoch_loss / static_cast<double>(position_.epoch_images);
  const Phase& phase = phases_[static_cast<std::size_t>(position_.phase)];
  const std::int64_t steps_in_phase = position_.epoch_in_phase * training_.batches_per_epoch();
  Metrics metrics;
  metrics["epoch"] = position_.epoch;
  metrics["phase"] = phase.name;
  metrics["step"] = position_.step;
  metrics["lr"] = schedule_->rate(steps_in_phase - 1);
  metrics["train_loss"] = loss;
  schedule_->end_epoch(loss);
  bool settled = true;
  StepContext now = context();
  for (const auto& method : methods_) {
    method->end_epoch(now, metrics);
    settled = settled && method->settled();
  }
  const auto before_evaluation = std::chrono::steady_clock::now();
  const std::int64_t every = recipe_.train.evaluate_every;
  if (position_.step == total_steps() || (every > 0 && position_.epoch % every == 0)) {
    const Evaluation result = evaluate(network_, evaluation_);
    // A network that is part codes, part floats has an accuracy too, but not one that any file will reproduce.
    metrics[settled ? "accuracy" : "accuracy_mixed"] = result.percent();
    metrics["images"] = result.images;
    last_accuracy_ = result.percent();
  }
  run_.append_metrics(metrics);
  ++position_.metric_lines;
  const auto end = std::chrono::steady_clock::now();
  const double training_seconds = std::chrono::duration<double>(before_evaluation - epoch_start_).count();
  run_.append_timing({{"epoch", position_.epoch},
                      {"seconds", training_seconds},
                      {"evaluation_seconds", std::chrono::duration<double>(end - before_evaluation).count()},
                      {"images_per_second", static_cast<double>(position_.epoch_images) / training_seconds}});
  epoch_start_ = end;
  position_.batch = 0;
  position_.epoch_images = 0;
  position_.epoch_loss = 0.0;
}

void Trainer::report_progress(double loss) {
  smooth_loss_ = position_.step == 1 || smooth_loss_ == 0.0 ? loss : 0.98 * smooth_loss_ + 0.02 * loss;
  if (!events_.on_progress) return;
  const auto now = std::chrono::steady_clock::now();
  const bool last = position_.step == total_steps();
  if (now - last_report_ < kReportInterval && !last) return;
  last_report_ = now;
  events_.on_progress({.phase = phases_[static_cast<std::size_t>(position_.phase)].name,
                       .step = position_.step,
                       .total_steps = total_steps(),
                       .loss = smooth_loss_,
                       .accuracy = last_accuracy_});
}

void Trainer::fail_not_finite(const std::string& what, const at::Tensor& images) {
  const std::optional<std::string> node = network_.first_not_finite(images, Mode::train, position_.step);
  fail(ErrorCode::numerical, "train: {}, first in {}); lower train.lr; the last good checkpoint is {}.", what,
       node ? fmt::format("the output of \"{}\"", *node) : std::string("the loss itself"), last_checkpoint_.string());
}

void Trainer::check_weights_finite() {
  for (const Parameter& parameter : network_.parameters()) {
    if (at::isfinite(parameter.tensor).all().item<bool>()) continue;
    fail(ErrorCode::numerical,
         "train: a weight is not finite after step {} (first in \"{}\"); lower train.lr; the last good checkpoint is {}.", position_.step,
         parameter.name, last_checkpoint_.string());
  }
}

void Trainer::save_checkpoint() {
  check_weights_finite();
  StateWriter state;
  state.integer("phase", position_.phase);
  state.integer("phase_begun", position_.phase_begun);
  state.integer("epoch_in_phase", position_.epoch_in_phase);
  state.integer("batch", position_.batch);
  state.integer("epoch", position_.epoch);
  state.integer("step", position_.step);
  state.integer("epoch_images", position_.epoch_images);
  state.real("epoch_loss", position_.epoch_loss);
  state.integer("metric_lines", position_.metric_lines);
  state.real("seconds", seconds());
  state.real("last_accuracy", last_accuracy_.value_or(-1.0));
  network_.save(state);
  optimizer_.save(state);
  if (position_.phase_begun != 0) schedule_->save(state);
  for (const auto& method : methods_) {
    state.text("method", method->name());
    method->save(state);
  }
  last_checkpoint_ = checkpoints_.write(fingerprint_, std::move(state).take());
}

bool Trainer::resume() {
  const std::optional<Checkpoint> checkpoint = checkpoints_.newest();
  if (!checkpoint) return false;
  const std::string source = checkpoint->path.string();
  if (checkpoint->recipe != fingerprint_) {
    fail(ErrorCode::usage, "{}: the checkpoint belongs to another recipe (found {:016x}, need {:016x}); name another folder with `--run`.",
         source, checkpoint->recipe, fingerprint_);
  }
  StateReader state(checkpoint->state, source);
  position_.phase = state.integer("phase");
  position_.phase_begun = state.integer("phase_begun");
  position_.epoch_in_phase = state.integer("epoch_in_phase");
  position_.batch = state.integer("batch");
  position_.epoch = state.integer("epoch");
  position_.step = state.integer("step");
  position_.epoch_images = state.integer("epoch_images");
  position_.epoch_loss = state.real("epoch_loss");
  position_.metric_lines = state.integer("metric_lines");
  position_.seconds = state.real("seconds");
  const double accuracy = state.real("last_accuracy");
  if (accuracy >= 0.0) last_accuracy_ = accuracy;
  if (position_.phase < 0 || position_.phase >= static_cast<std::int64_t>(phases_.size())) {
    fail(ErrorCode::corrupt_file, "{}: phase is out of range (found {}, need below {}); remove the checkpoint.", source, position_.phase,
         phases_.size());
  }
  network_.load(state);
  optimizer_.load(state);
  if (position_.phase_begun != 0) {
    schedule_.emplace(recipe_.train, schedule_steps(phases_[static_cast<std::size_t>(position_.phase)]));
    schedule_->load(state);
  }
  for (const auto& method : methods_) {
    if (state.text("method") != method->name()) fail(ErrorCode::corrupt_file, "{}: the methods differ; start the run anew.", source);
    method->load(state);
  }
  state.finish();
  run_.truncate_metrics(position_.metric_lines);
  last_checkpoint_ = checkpoint->path;
  return true;
}

}  // namespace bitwright
