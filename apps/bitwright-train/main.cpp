// SPDX-License-Identifier: Apache-2.0
// `bitwright-train`: the verbs of `bitwright` that need LibTorch.
#include "commands/commands.h"

int main(int argc, char** argv) {
  using namespace bitwright::apps;
  static constexpr Command kCommands[] = {
#define BITWRIGHT_COMMAND(name, summary) {#name, summary, declare_##name},
#include "commands.inc"
#undef BITWRIGHT_COMMAND
  };
  return run_program(Program{kCommands}, argc, argv);
}
