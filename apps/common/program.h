// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace bitwright::apps {

/// What a chosen verb does once its arguments are known.
using Action = std::function<void()>;

/// One verb of the command line; one line of a program's commands.inc.
struct Command {
  std::string_view name;
  std::string_view summary;
  /// Adds the verb's options to `app` and returns what it does. Verbs that the program beside this one runs have none.
  Action (*declare)(CLI::App& app);
};

/// The verbs of one program.
struct Program {
  std::span<const Command> commands;
  /// Takes over the process for verbs without `declare`; never returns. Throws: `Error(io)`.
  void (*hand_over)(std::string_view verb, char** arguments) = nullptr;
};

/// Thrown by a verb that ends on a signal: the program says `message` on stderr and exits with `exit_code` (128 + signal).
struct Interrupted {
  int exit_code;
  std::string message;
};

/// Parses the command line, runs the verb, and turns every failure into one line on stderr.
/// Ensures: returns a documented exit code (docs/cli.md); nothing is thrown.
[[nodiscard]] int run_program(const Program& program, int argc, char** argv) noexcept;

/// Writes a result to standard output, all of it or an error. Throws: `Error(io)`.
void write_result(std::string_view text);

/// What a program was called with, quoted for a shell, e.g. `bitwright quantize zoo:lenet5 --run 'my run'`.
[[nodiscard]] const std::string& command_line() noexcept;

}  // namespace bitwright::apps
