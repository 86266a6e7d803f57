// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/methods/distill/teacher.h"

#include "bitwright/core/checksum.h"
#include "bitwright/core/error.h"
#include "bitwright/model/packed_file.h"
#include "bitwright/train/state.h"
#include "bitwright/train/tensor.h"

#include <torch/torch.h>

#include <cmath>

namespace bitwright::distill {
namespace {

constexpr std::int64_t kPixels = 256;

double mean_of(const InputTransform& transform, std::int64_t channel) {
  return transform.mean.empty() ? 0.0 : static_cast<double>(transform.mean.at(static_cast<std::size_t>(channel)));
}

double std_of(const InputTransform& transform, std::int64_t channel) {
  return transform.std.empty() ? 1.0 : static_cast<double>(transform.std.at(static_cast<std::size_t>(channel)));
}

/// Images and classes of a network, in words.
struct Interface {
  Shape image;
  std::int64_t classes = 0;
  friend bool operator==(const Interface&, const Interface&) = default;
};

Interface interface_of(const Model& model) {
  const std::vector<std::int64_t>& input = model.graph.inputs[0].shape.dims();
  const Shape output = infer_shapes(model.graph, weight_shapes(model), 1).at(model.graph.outputs[0]);
  return {Shape(std::vector<std::int64_t>(input.begin() + 1, input.end())), output.rank() == 2 ? output[1] : 0};
}

const Model& require_fit(const Model& model, const std::string& source, const Model& student) {
  validate(model);
  if (model.graph.inputs.size() != 1 || model.graph.outputs.size() != 1) {
    fail(ErrorCode::unsupported, "recipe: method distill: teacher {} has {} inputs and {} outputs (need one of each); choose another.",
         source, model.graph.inputs.size(), model.graph.outputs.size());
  }
  const Interface found = interface_of(model);
  const Interface need = interface_of(student);
  if (found != need) {
    fail(ErrorCode::usage,
         "recipe: method distill: teacher {} does not fit student {} (found images {} and {} classes, need {} and {}); choose another "
         "teacher.",
         source, student.graph.name, found.image.to_string(), found.classes, need.image.to_string(), need.classes);
  }
  return model;
}

std::int64_t channels_of(const Model& model) { return model.graph.inputs[0].shape[1]; }

}  // namespace

InputConversion::InputConversion(const InputTransform& from, const InputTransform& to, std::int64_t channels, at::Device device) {
  const auto equal = [channels](const InputTransform& a, const InputTransform& b) {
    for (std::int64_t c = 0; c < channels; ++c) {
      if (mean_of(a, c) != mean_of(b, c) || std_of(a, c) != std_of(b, c)) return false;
    }
    return true;
  };
  is_identity_ = equal(from, to);
  if (is_identity_) return;
  scale_ = at::empty({channels}, at::kDouble);
  offset_ = at::empty({channels}, at::kDouble);
  table_ = at::empty({channels * kPixels}, at::kFloat);
  for (std::int64_t c = 0; c < channels; ++c) {
    scale_.data_ptr<double>()[c] = 255.0 * std_of(from, c);
    offset_.data_ptr<double>()[c] = 255.0 * mean_of(from, c);
    for (std::int64_t pixel = 0; pixel < kPixels; ++pixel) {
      table_.data_ptr<float>()[c * kPixels + pixel] =
          static_cast<float>((static_cast<double>(pixel) / 255.0 - mean_of(to, c)) / std_of(to, c));
    }
  }
  scale_ = scale_.to(device);
  offset_ = offset_.to(device);
  table_ = table_.to(device);
  row_ = at::arange(channels, at::kLong).mul_(kPixels).to(device);
}

at::Tensor InputConversion::operator()(const at::Tensor& images) const {
  if (is_identity_) return images;
  std::vector<std::int64_t> per_channel(static_cast<std::size_t>(images.dim()), 1);
  per_channel.at(1) = images.size(1);
  at::Tensor pixels = images.to(at::kDouble).mul_(scale_.view(per_channel)).add_(offset_.view(per_channel));
  pixels = pixels.round_().clamp_(0.0, kPixels - 1.0).to(at::kLong).add_(row_.view(per_channel));
  return table_.take(pixels);
}

Teacher::Teacher(const Model& model, std::string source, const Model& student, at::Device device, Precision precision, Mode mode)
    : source_(std::move(source)),
      checksum_(xxh3_64(pack_model(require_fit(model, source_, student)))),
      mode_(mode),
      network_(model, {.precision = precision, .evaluation_precision = precision, .seed = 1, .device = device}),
      conversion_(student.input_transform, model.input_transform, channels_of(student), device) {}

at::Tensor Teacher::logits(const at::Tensor& images, std::int64_t step) {
  const at::NoGradGuard no_grad;
  return network_.forward(conversion_(images), mode_, step);
}

std::uint64_t Teacher::state_checksum() const {
  StateWriter state;
  network_.save(state);
  return xxh3_64(std::move(state).take());
}

void Teacher::verify(const at::Tensor& images) {
  // Another step draws other Dropout masks, and batch statistics would move the running ones: either shows.
  const std::uint64_t before = state_checksum();
  const bool same_answer = at::equal(logits(images, 0), logits(images, 1));
  if (same_answer && state_checksum() == before) return;
  fail(ErrorCode::internal, "method distill: teacher {} is not in evaluation mode (found {}, need equal answers and fixed statistics); {}",
       source_, same_answer ? "statistics that moved" : "two answers to the same images", "report it with the recipe.");
}

}  // namespace bitwright::distill
