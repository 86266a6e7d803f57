// SPDX-License-Identifier: Apache-2.0
#include "bench/peers/contender.h"

#include "bitwright/core/error.h"
#include "bitwright/core/file.h"
#include "bitwright/runtime/calibration.h"

#include <chrono>
#include <cstring>
#include <utility>

namespace bitwright {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

class OnnxRuntimeContender : public Contender {
 public:
  OnnxRuntimeContender(std::string name, OnnxRuntime& runtime, std::span<const std::byte> file, int threads)
      : Contender(std::move(name)), runtime_(runtime) {
    runtime_.load(this->name(), file, threads);
  }
  ~OnnxRuntimeContender() override {
    try {
      runtime_.release(name());
    } catch (const Error&) {
      // The child is gone, and the session with it.
    }
  }
  std::vector<double> turn(int repeats) override { return runtime_.run(name(), repeats); }
  std::vector<float> output() override { return runtime_.output(name()); }

 private:
  OnnxRuntime& runtime_;
};

class SessionContender : public Contender {
 public:
  SessionContender(std::string name, Model model, SessionOptions options, std::span<const float> input)
      : Contender(std::move(name)), session_(std::move(model), options), input_(input) {
    output_.resize(static_cast<std::size_t>(options.batch * session_.output_shape().element_count()));
  }
  std::vector<double> turn(int repeats) override {
    session_.run(input_, output_);
    std::vector<double> seconds;
    for (int i = 0; i < repeats; ++i) {
      const auto start = std::chrono::steady_clock::now();
      session_.run(input_, output_);
      seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    return seconds;
  }
  std::vector<float> output() override { return output_; }

 private:
  Session session_;
  std::span<const float> input_;
  std::vector<float> output_;
};

}  // namespace

OnnxRuntime::OnnxRuntime(const fs::path& node_modules, fs::path folder) : folder_(std::move(folder)) {
  if (!fs::exists(node_modules / "onnxruntime-node")) {
    fail(ErrorCode::io, "{}: onnxruntime-node is not here; run ./test, which installs it, or say --node-modules.", node_modules.string());
  }
  const fs::path script = fs::path(BITWRIGHT_SOURCE_DIR) / "bench/peers/onnx_runtime_peer.js";
  child_ = std::make_unique<LineChild>(
      std::vector<std::string>{"node", "--expose-gc", "--max-old-space-size=8192", script.string(), fs::absolute(node_modules).string()});
}

json OnnxRuntime::ask(const json& request) {
  const json answer = json::parse(child_->ask(request.dump()));
  if (answer.contains("error")) {
    fail(ErrorCode::unsupported, "ONNX Runtime: {} failed ({}); try the file by hand.", request.at("do").get<std::string>(),
         answer.at("error").get<std::string>());
  }
  return answer;
}

std::string OnnxRuntime::version() { return ask({{"do", "version"}}).at("version").get<std::string>(); }

void OnnxRuntime::set_input(std::span<const float> values, const Shape& shape) {
  const fs::path file = folder_ / "input.f32";
  write_file_atomic(file, std::as_bytes(values));
  (void)ask({{"do", "input"}, {"file", file.string()}, {"dims", shape.dims()}});
}

void OnnxRuntime::load(const std::string& name, std::span<const std::byte> file, int threads) {
  const fs::path path = folder_ / "network.onnx";
  write_file_atomic(path, file);
  (void)ask({{"do", "load"}, {"name", name}, {"file", path.string()}, {"threads", threads}});
}

void OnnxRuntime::release(const std::string& name) { (void)ask({{"do", "release"}, {"name", name}}); }

std::vector<double> OnnxRuntime::run(const std::string& name, int repeats) {
  std::vector<double> seconds;
  const json answer = ask({{"do", "run"}, {"name", name}, {"repeats", repeats}});
  for (const json& ns : answer.at("ns")) seconds.push_back(ns.get<double>() * 1e-9);
  return seconds;
}

std::vector<float> OnnxRuntime::output(const std::string& name) {
  const fs::path file = folder_ / "output.f32";
  (void)ask({{"do", "output"}, {"name", name}, {"file", file.string()}});
  const std::vector<std::byte> bytes = read_file(file);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

json OnnxRuntime::ranges(const std::string& name) { return ask({{"do", "ranges"}, {"name", name}}).at("ranges"); }

std::unique_ptr<Contender> onnx_runtime_contender(std::string name, OnnxRuntime& runtime, std::span<const std::byte> file, int threads) {
  return std::make_unique<OnnxRuntimeContender>(std::move(name), runtime, file, threads);
}

std::unique_ptr<Contender> session_contender(std::string name, Model model, Activations activations, int threads, std::int64_t batch,
                                             std::span<const float> input) {
  if (activations == Activations::int8) model = calibrate(model, input, {.threads = threads, .batch = batch});
  return std::make_unique<SessionContender>(std::move(name), std::move(model),
                                            SessionOptions{.threads = threads, .batch = batch, .activations = activations}, input);
}

}  // namespace bitwright
