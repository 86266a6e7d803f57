// SPDX-License-Identifier: Apache-2.0
#include "common/program.h"

#include "bitwright/core/error.h"
#include "bitwright/core/nearest_name.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <vector>

namespace bitwright::apps {
namespace {

constexpr std::string_view kName = "bitwright";
constexpr std::string_view kExitCodes =
    "Exit codes: 0 ok, 1 a check said no, 2 usage, 3 bad input file, 4 I/O, 5 numerical failure, 70 internal.";

std::string& command_line_storage() noexcept {
  static std::string line;
  return line;
}

/// Messages are one line whatever a library put into them.
std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    if (c == '\n' || c == '\r' || c == '\t') {
      if (!line.empty() && line.back() != ' ') line += ' ';
    } else {
      line += c;
    }
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

void say_failure(std::string_view prefix, std::string_view message) noexcept {
  try {
    const std::string line = fmt::format("{}: {}\n", prefix, one_line(message));
    std::fflush(stdout);
    std::fwrite(line.data(), 1, line.size(), stderr);
  } catch (...) {
    std::fputs("bitwright: out of memory\n", stderr);
  }
}

std::string shell_quoted(std::string_view word) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:=,@+";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string_view::npos) return std::string(word);
  std::string quoted = "'";
  for (const char c : word) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

void remember_command_line(int argc, char** argv) {
  std::string& line = command_line_storage();
  line = kName;
  for (int i = 1; i < argc; ++i) line += " " + shell_quoted(argv[i]);
}

/// CLI11's text of a parse error, ending without a stop; unknown words are named with the nearest known one.
std::string parse_message(const CLI::ParseError& error, const CLI::App& verb) {
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    const std::vector<std::string> extras = verb.remaining(true);
    if (extras.empty()) return one_line(error.what());
    const std::string& word = extras.front();
    if (word.size() < 2 || word.front() != '-') return fmt::format("unexpected argument \"{}\"", word);
    std::vector<std::string> known;
    for (const CLI::Option* option : verb.get_options()) {
      for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
    }
    return fmt::format("unknown option \"{}\" (did you mean \"{}\"?)", word, nearest_name(word, known));
  }
  std::string message = one_line(error.what());
  constexpr std::string_view kConversion = "Could not convert:";
  if (message.starts_with(kConversion)) message.replace(0, kConversion.size(), "cannot read");
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) == nullptr && message.ends_with('.')) message.pop_back();
  return message;
}

int refuse_usage(std::string_view verb, std::string_view message) {
  const std::string command = verb.empty() ? std::string(kName) : fmt::format("{} {}", kName, verb);
  say_failure(command, fmt::format("{}; run `{} --help`.", message, command));
  return exit_code(ErrorCode::usage);
}

const Command* find_command(const Program& program, std::string_view name) {
  const auto found = std::ranges::find(program.commands, name, &Command::name);
  return found == program.commands.end() ? nullptr : &*found;
}

int run(const Program& program, int argc, char** argv) {
  remember_command_line(argc, argv);
  const std::string_view first = argc > 1 ? argv[1] : "";
  const Command* chosen = find_command(program, first);
  if (chosen != nullptr && chosen->declare == nullptr) {
    program.hand_over(chosen->name, argv);
    return exit_code(ErrorCode::internal);
  }
  if (first.empty()) return refuse_usage("", "a command is required");
  if (chosen == nullptr && first.front() != '-') {
    std::vector<std::string> known;
    for (const Command& command : program.commands) known.emplace_back(command.name);
    return refuse_usage("", fmt::format("unknown command \"{}\" (did you mean \"{}\"?)", first, nearest_name(first, known)));
  }

  CLI::App app{"Trains neural networks down to a few bits per weight and runs them fast.", std::string(kName)};
  app.get_formatter()->column_width(32);
  app.get_formatter()->label("REQUIRED", "(required)");
  app.get_formatter()->label("SUBCOMMAND", "COMMAND");
  app.get_formatter()->label("Subcommands", "Commands");
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.set_version_flag("--version", fmt::format("{} {}", kName, BITWRIGHT_VERSION));
  app.footer(std::string(kExitCodes));
  app.require_subcommand(1);
  std::vector<std::pair<CLI::App*, Action>> actions;
  for (const Command& command : program.commands) {
    CLI::App* verb = app.add_subcommand(std::string(command.name), std::string(command.summary));
    verb->group("Commands");
    // Only the chosen verb needs its options: the start-up of all others is saved.
    if (&command == chosen) actions.emplace_back(verb, command.declare(*verb));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    write_result(app.help());
    return 0;
  } catch (const CLI::CallForVersion& version) {
    write_result(fmt::format("{}\n", version.what()));
    return 0;
  } catch (const CLI::ParseError& error) {
    const CLI::App* verb = &app;
    std::string name;
    while (!verb->get_subcommands().empty()) {
      verb = verb->get_subcommands().front();
      name += (name.empty() ? "" : " ") + verb->get_name();
    }
    return refuse_usage(name, parse_message(error, *verb));
  }
  for (const auto& [verb, action] : actions) {
    if (verb->parsed()) action();
  }
  return 0;
}

}  // namespace

int run_program(const Program& program, int argc, char** argv) noexcept {
  try {
    return run(program, argc, argv);
  } catch (const Error& error) {
    say_failure(kName, error.message());
    return exit_code(error.code());
  } catch (const Interrupted& interrupted) {
    say_failure(kName, interrupted.message);
    return interrupted.exit_code;
  } catch (const std::bad_alloc&) {
    say_failure(kName, "out of memory; choose a smaller batch or model, or free some memory.");
  } catch (const std::exception& error) {
    say_failure(kName, fmt::format("internal error: {}; this is a defect, please report it with the command line.", error.what()));
  } catch (...) {
    say_failure(kName, "internal error: unknown exception; this is a defect, please report it with the command line.");
  }
  return exit_code(ErrorCode::internal);
}

void write_result(std::string_view text) {
  errno = 0;
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (!written) {
    fail(ErrorCode::io, "standard output: cannot write the result ({}); free some space or write elsewhere.", std::strerror(errno));
  }
}

const std::string& command_line() noexcept { return command_line_storage(); }

}  // namespace bitwright::apps
