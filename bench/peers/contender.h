// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bench/peers/line_child.h"
#include "bitwright/model/model.h"
#include "bitwright/runtime/session.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

/// One that runs the case's network: a peer, or a session of ours in one of its modes.
class Contender {
 public:
  explicit Contender(std::string name) : name_(std::move(name)) {}
  virtual ~Contender() = default;
  Contender(const Contender&) = delete;
  Contender& operator=(const Contender&) = delete;

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  /// One untimed run, which brings weights and code back into the caches after the others' turns, then `repeats` timed ones: their times.
  /// Units: seconds.
  [[nodiscard]] virtual std::vector<double> turn(int repeats) = 0;
  /// What the last run gave.
  [[nodiscard]] virtual std::vector<float> output() = 0;

 private:
  std::string name_;
};

/// ONNX Runtime in a child process. `node_modules`: where onnxruntime-node is.
class OnnxRuntime {
 public:
  /// `folder`: for files that go to and fro. Throws: `Error(io)` when node or the package is missing.
  OnnxRuntime(const std::filesystem::path& node_modules, std::filesystem::path folder);

  [[nodiscard]] std::string version();
  void set_input(std::span<const float> values, const Shape& shape);
  /// Loads a file as a session, and drops it.
  void load(const std::string& name, std::span<const std::byte> file, int threads);
  void release(const std::string& name);
  /// Times of single runs in seconds, behind an untimed one.
  [[nodiscard]] std::vector<double> run(const std::string& name, int repeats);
  [[nodiscard]] std::vector<float> output(const std::string& name);
  /// Lowest and highest value of every output of a session.
  [[nodiscard]] nlohmann::json ranges(const std::string& name);

 private:
  nlohmann::json ask(const nlohmann::json& request);
  std::filesystem::path folder_;
  std::unique_ptr<LineChild> child_;
};

[[nodiscard]] std::unique_ptr<Contender> onnx_runtime_contender(std::string name, OnnxRuntime& runtime, std::span<const std::byte> file,
                                                                int threads);

/// A session of ours; for int8 the model is calibrated on the images that it will run.
[[nodiscard]] std::unique_ptr<Contender> session_contender(std::string name, Model model, Activations activations, int threads,
                                                           std::int64_t batch, std::span<const float> input);

/// LibTorch in inference mode, float32, channels last. Requires: a model without batch normalization behind products.
[[nodiscard]] std::unique_ptr<Contender> torch_contender(std::string name, const Model& model, int threads, const Shape& input_shape,
                                                         std::span<const float> input);
[[nodiscard]] std::string torch_version();

}  // namespace bitwright
