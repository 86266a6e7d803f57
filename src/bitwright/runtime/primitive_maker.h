// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <oneapi/dnnl/dnnl.hpp>

#include <condition_variable>
#include <functional>
#include <future>
#include <mutex>
#include <queue>
#include <stop_token>
#include <thread>

namespace bitwright {

/// Makes the primitives of a plan. oneDNN writes their machine code, which takes about half the time of planning: a session of two or more
/// threads has it done beside the decoding of the weights, in the order asked for; a session of one thread does it at once.
class PrimitiveMaker {
 public:
  using Make = std::function<dnnl::primitive()>;

  /// `threads`: of the session, for which the primitives are made. Requires: 1 or more.
  explicit PrimitiveMaker(int threads);
  /// Leaves what was not begun; its futures say so by std::future_error.
  ~PrimitiveMaker();
  PrimitiveMaker(const PrimitiveMaker&) = delete;
  PrimitiveMaker& operator=(const PrimitiveMaker&) = delete;

  /// The primitive, or what `make` threw.
  [[nodiscard]] std::future<dnnl::primitive> ask_for(Make make);

 private:
  void work(const std::stop_token& stop);

  int threads_;
  std::mutex mutex_;
  std::condition_variable_any asked_;
  std::queue<std::packaged_task<dnnl::primitive()>> tasks_;
  std::jthread worker_;  // the last member: it uses the others
};

}  // namespace bitwright
