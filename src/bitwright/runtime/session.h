// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/model.h"
#include "bitwright/runtime/activations.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace bitwright {

struct SessionOptions {
  int threads = 1;         ///< exactly this many
  std::int64_t batch = 1;  ///< images per run; `prepare` changes it
  /// What values are held in. int8 needs a calibrated model (`calibrate`); where processor or model can't, the best other type runs, and
  /// `describe` says why. A fixed-point model keeps its own integers.
  Activations activations = Activations::float32;
};

/// What a node runs on, and why faster kernels refused.
struct NodeReport {
  std::string node;
  std::string op;
  std::string kernel;                   ///< e.g. `onednn:conv:jit:avx512_core`, `packed_gemv:avx3`
  std::vector<std::string> refusals;    ///< e.g. `packed_gemv: batch is 128, this kernel needs <= 16`
  ValueType type = ValueType::float32;  ///< what it reads: int8 stands for both kinds of 8-bit codes
};

/// How a value lies in memory while a session runs.
struct ValueReport {
  std::string value;
  ValueForm form;
  bool is_conversion = false;  ///< made from the value for readers that want another form
};

/// Executes a model: plans once, runs many times, allocates nothing while running.
///
/// A session is used by one thread at a time; make one per thread.
class Session {
 public:
  /// Throws: as `load_packed` and the constructor below.
  [[nodiscard]] static Session open(const std::filesystem::path& packed_file, SessionOptions options = {});
  /// Requires: a valid model with one input and one output. Throws: `Error(unsupported)` for what the runtime can't execute.
  explicit Session(Model model, SessionOptions options = {});
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  /// Shape of one image / of its outputs, without the batch extent.
  [[nodiscard]] const Shape& input_shape() const noexcept;
  [[nodiscard]] const Shape& output_shape() const noexcept;
  [[nodiscard]] const Model& model() const noexcept;
  [[nodiscard]] std::int64_t batch() const noexcept;

  /// Plans for another batch size. Plans are kept, so going back costs nothing.
  void prepare(std::int64_t batch);

  /// Runs the current batch: input NCHW, already transformed, read where it lies. Allocates nothing.
  /// Throws: `Error(invalid_input)` when a size is not batch() times the shape's element count.
  void run(std::span<const float> input, std::span<float> output);

  /// Bytes of the arena that holds all intermediate values.
  [[nodiscard]] std::int64_t arena_bytes() const noexcept;
  [[nodiscard]] std::vector<NodeReport> describe() const;
  /// Every value that a run makes, and in which form; values that are computed within a fused kernel are not made.
  [[nodiscard]] std::vector<ValueReport> values() const;
  /// The mode asked for; `describe` says what each node runs in.
  [[nodiscard]] Activations activations() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Applies a model's input transform to pixels of one image: uint8 CHW -> float CHW.
void transform_image(const InputTransform& transform, std::span<const std::uint8_t> pixels, const Shape& image_shape, std::span<float> dst);

}  // namespace bitwright
