// SPDX-License-Identifier: Apache-2.0
// `bitwright-train`: the verbs of `bitwright` that need LibTorch.
#include "commands/commands.h"
#include "common/model_readers.h"

#if __has_include(<malloc.h>)
#include <malloc.h>
#endif

#include <limits>

namespace {

/// A training step allocates and frees the same large tensors as the one before. By default glibc gives each back to the system, and a
/// fifth of a step of ResNet-20 went into page faults for the same memory again.
void keep_freed_memory() noexcept {
#ifdef M_TRIM_THRESHOLD
  ::mallopt(M_MMAP_MAX, 0);
  ::mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  ::mallopt(M_TOP_PAD, 64 << 20);
#endif
}

}  // namespace

int main(int argc, char** argv) {
  using namespace bitwright::apps;
  keep_freed_memory();
  register_model_readers();
  static constexpr Command kCommands[] = {
#define BITWRIGHT_COMMAND(name, summary) {#name, summary, declare_##name},
#include "commands.inc"
#undef BITWRIGHT_COMMAND
  };
  return run_program(Program{kCommands}, argc, argv);
}
