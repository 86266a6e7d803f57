// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/primitive_maker.h"

#include "bitwright/runtime/plan.h"

#include <utility>

namespace bitwright {

PrimitiveMaker::PrimitiveMaker(int threads) : threads_(threads) {
  if (threads > 1) worker_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
}

PrimitiveMaker::~PrimitiveMaker() = default;

std::future<dnnl::primitive> PrimitiveMaker::ask_for(Make make) {
  std::packaged_task<dnnl::primitive()> task(std::move(make));
  std::future<dnnl::primitive> future = task.get_future();
  if (!worker_.joinable()) {
    task();
    return future;
  }
  {
    const std::scoped_lock lock(mutex_);
    tasks_.push(std::move(task));
  }
  asked_.notify_one();
  return future;
}

void PrimitiveMaker::work(const std::stop_token& stop) {
  const ThreadScope threads(threads_);  // how many the primitives will run on is settled when they are made
  while (true) {
    std::packaged_task<dnnl::primitive()> task;
    {
      std::unique_lock lock(mutex_);
      if (!asked_.wait(lock, stop, [this] { return !tasks_.empty(); }) || stop.stop_requested()) return;
      task = std::move(tasks_.front());
      tasks_.pop();
    }
    task();
  }
}

}  // namespace bitwright
