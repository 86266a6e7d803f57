// SPDX-License-Identifier: Apache-2.0
#include "bench/peers/contender.h"
#include "bitwright/train/network.h"
#include "bitwright/train/tensor.h"

#include <torch/torch.h>

#include <chrono>

namespace bitwright {
namespace {

class TorchContender : public Contender {
 public:
  TorchContender(std::string name, Model model, int threads, const Shape& input_shape, std::span<const float> input)
      : Contender(std::move(name)), network_(std::move(model)), threads_(threads), input_(to_tensor(input_shape, input)) {}

  std::vector<double> turn(int repeats) override {
    const c10::InferenceMode guard;
    at::set_num_threads(threads_);
    logits_ = network_.forward(input_, Mode::eval);
    std::vector<double> seconds;
    for (int i = 0; i < repeats; ++i) {
      const auto start = std::chrono::steady_clock::now();
      logits_ = network_.forward(input_, Mode::eval);
      seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    return seconds;
  }
  std::vector<float> output() override { return tensor_values(logits_); }

 private:
  Network network_;
  int threads_;
  at::Tensor input_;
  at::Tensor logits_;
};

}  // namespace

std::unique_ptr<Contender> torch_contender(std::string name, Model model, int threads, const Shape& input_shape,
                                           std::span<const float> input) {
  return std::make_unique<TorchContender>(std::move(name), std::move(model), threads, input_shape, input);
}

std::string torch_version() { return TORCH_VERSION; }

}  // namespace bitwright
