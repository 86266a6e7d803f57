// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>

namespace bitwright::apps {

/// While it lives, the first SIGINT or SIGTERM sets a flag; a second one of the same kind ends the process as usual.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  [[nodiscard]] const std::atomic<bool>* requested() const noexcept;
  /// The signal that came; 0 when none did.
  [[nodiscard]] int number() const noexcept;
};

}  // namespace bitwright::apps
