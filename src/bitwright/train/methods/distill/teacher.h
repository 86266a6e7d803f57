// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/train/network.h"

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace bitwright::distill {

/// Turns a batch of one network's inputs into the same images as another network takes them.
///
/// Equation: pixel = round(255 (x std + mean)), value = (pixel / 255 - mean') / std'.
/// Shapes: [images, channels, …].
/// Exactness: bit for bit what the loader would have made for the other network: pixels are whole numbers from 0 to 255, which the rounding
/// recovers, and their new values come from a table computed as the loader's.
/// Requires: inputs made from pixels; the fillers of a cropped image are pixel 0.
class InputConversion {
 public:
  /// Equal transforms pass images on unchanged.
  InputConversion(const InputTransform& from, const InputTransform& to, std::int64_t channels, at::Device device);
  [[nodiscard]] at::Tensor operator()(const at::Tensor& images) const;

 private:
  bool is_identity_ = false;
  at::Tensor scale_;   ///< 255 std, float64 [channels]
  at::Tensor offset_;  ///< 255 mean, float64 [channels]
  at::Tensor row_;     ///< 256 times the channel's number
  at::Tensor table_;   ///< value of every pixel, float32 [channels * 256]
};

/// A trained network whose answers a student learns.
class Teacher {
 public:
  /// `student`: the network as it takes its images. `precision`: of the teacher's products. `mode`: anything but `eval` is wrong and exists
  /// so that a test can see `verify` fire. Throws: `Error(usage)` when images or classes differ (names both).
  Teacher(const Model& model, std::string source, const Model& student, at::Device device, Precision precision = Precision::float32,
          Mode mode = Mode::eval);

  /// Logits for images as the student takes them; no gradient, running statistics.
  [[nodiscard]] at::Tensor logits(const at::Tensor& images, std::int64_t step = 0);

  /// Asks twice. Throws: `Error(internal)` when the answers differ or the teacher's state moved: it is not in evaluation mode.
  void verify(const at::Tensor& images);

  [[nodiscard]] const std::string& source() const noexcept { return source_; }
  /// XXH3-64 of the packed model: graph, weights, statistics, input transform.
  [[nodiscard]] std::uint64_t checksum() const noexcept { return checksum_; }

 private:
  [[nodiscard]] std::uint64_t state_checksum() const;

  std::string source_;
  std::uint64_t checksum_;
  Mode mode_;
  Network network_;
  InputConversion conversion_;
};

}  // namespace bitwright::distill
