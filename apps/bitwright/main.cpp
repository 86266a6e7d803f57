// SPDX-License-Identifier: Apache-2.0
// `bitwright`: everything that needs no LibTorch; training verbs are handed to `bitwright-train`.
#include "commands/commands.h"
#include "common/model_readers.h"
#include "hand_over.h"

int main(int argc, char** argv) {
  using namespace bitwright::apps;
  register_model_readers();
  static constexpr Command kCommands[] = {
#define BITWRIGHT_COMMAND(name, summary) {#name, summary, declare_##name},
#define BITWRIGHT_HANDED_OVER(name, summary) {#name, summary, nullptr},
#include "commands.inc"
#undef BITWRIGHT_COMMAND
#undef BITWRIGHT_HANDED_OVER
  };
  return run_program(Program{kCommands, hand_over}, argc, argv);
}
