// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/distill/distill.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"
#include "bitwright/model/model_source.h"
#include "bitwright/train/network.h"
#include "bitwright/train/state.h"

#include <torch/torch.h>

#include <array>
#include <iterator>

namespace bitwright::distill {
namespace {

constexpr std::string_view kSelf = "self";
constexpr std::array<const char*, 3> kSums = {"distill.task_loss", "distill.divergence", "distill.agreement"};

}  // namespace

at::Tensor divergence(const at::Tensor& teacher_logits, const at::Tensor& student_logits, const DistillOptions& options) {
  const at::Tensor teacher = at::log_softmax(teacher_logits / options.temperature, 1);
  const at::Tensor student = at::log_softmax(student_logits / options.temperature, 1);
  const at::Tensor sum = at::kl_div(student, teacher, at::Reduction::Sum, /*log_target=*/true);
  const std::int64_t count = options.reduction == KlReduction::batch_mean ? student.size(0) : student.numel();
  return sum * (options.temperature * options.temperature / static_cast<double>(count));
}

Distill::Distill(DistillOptions options) : options_(std::move(options)) {}

Distill::~Distill() = default;

void Distill::attach(Network& network, const BitPlan&) {
  const Model student = network.to_model({});
  const Model teacher = options_.teacher == kSelf ? student : open_model(options_.teacher);
  teacher_ =
      std::make_unique<Teacher>(teacher, options_.teacher, student, network.device(), network.training_precision(), options_.teacher_mode);
  sums_ = at::zeros({std::ssize(kSums)}, at::TensorOptions(at::kDouble).device(network.device()));
}

at::Tensor Distill::loss(StepContext& context, at::Tensor task_loss) {
  BITWRIGHT_ASSERT(context.images != nullptr && context.logits != nullptr);
  const at::Tensor& images = *context.images;
  const at::Tensor& logits = *context.logits;
  if (!verified_) {
    teacher_->verify(images);
    verified_ = true;
  }
  const at::Tensor answer = teacher_->logits(images);
  const at::Tensor distance = divergence(answer, logits, options_);
  {
    const at::NoGradGuard no_grad;
    const at::Tensor agreement = logits.argmax(1).eq(answer.argmax(1)).to(at::kDouble).mean();
    const at::Tensor now = at::stack({task_loss.to(at::kDouble), distance.to(at::kDouble), agreement});
    sums_.add_(now, static_cast<double>(logits.size(0)));
  }
  images_ += logits.size(0);
  return task_loss * (1.0 - options_.weight) + distance * options_.weight;
}

void Distill::end_epoch(StepContext&, Metrics& metrics) {
  if (images_ == 0) return;
  const at::Tensor means = (sums_ / static_cast<double>(images_)).cpu();
  const double* mean = means.data_ptr<double>();
  metrics[kSums[0]] = mean[0];
  metrics[kSums[1]] = mean[1];
  metrics[kSums[2]] = 100.0 * mean[2];
  sums_.zero_();
  images_ = 0;
}

void Distill::save(StateWriter& state) const {
  state.integer("distill.teacher", static_cast<std::int64_t>(teacher_->checksum()));
  state.integer("distill.images", images_);
  const at::Tensor sums = sums_.cpu();
  for (std::size_t i = 0; i < kSums.size(); ++i) state.real(kSums[i], sums.data_ptr<double>()[i]);
}

void Distill::load(StateReader& state) {
  const auto checksum = static_cast<std::uint64_t>(state.integer("distill.teacher"));
  if (checksum != teacher_->checksum()) {
    fail(
        ErrorCode::usage,
        "checkpoint: method distill: teacher {} is not the one the run began with (found checksum {:016x}, need {:016x}); put the old file "
        "back or start the run anew.",
        teacher_->source(), teacher_->checksum(), checksum);
  }
  images_ = state.integer("distill.images");
  at::Tensor sums = at::empty({std::ssize(kSums)}, at::kDouble);
  for (std::size_t i = 0; i < kSums.size(); ++i) sums.data_ptr<double>()[i] = state.real(kSums[i]);
  sums_.copy_(sums);
}

}  // namespace bitwright::distill

namespace bitwright {

std::unique_ptr<Method> make_distill(const MethodRecipe& recipe) {
  return std::make_unique<distill::Distill>(distill::parse_distill_options(recipe));
}

}  // namespace bitwright
