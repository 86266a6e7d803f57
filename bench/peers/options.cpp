// SPDX-License-Identifier: Apache-2.0
#include "bench/peers/options.h"

#include "bitwright/core/error.h"
#include "bitwright/core/nearest_name.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

namespace bitwright {
namespace {

constexpr std::string_view kAllActivations[] = {"float32", "bfloat16", "int8"};
constexpr std::string_view kAllFormats[] = {"float", "ternary", "pow2:5"};
constexpr std::string_view kMemoryBoundFormats[] = {"float", "ternary:2bit", "pow2:5"};

constexpr std::array kCases = {
    PeerCase{"resnet18", "resnet18", 1, kAllActivations, kAllFormats, 2},
    PeerCase{"resnet20", "resnet20", 128, kAllActivations, kAllFormats, 1},
    PeerCase{"lenet5", "lenet5", 1, kAllActivations, kAllFormats, 1},
    PeerCase{"mlp-1000", "mlp-1000", 1, kAllActivations, kAllFormats, 1},
    PeerCase{"alexnet", "alexnet", 1, kAllActivations, kMemoryBoundFormats, 1},
    PeerCase{"vgg16", "vgg16", 1, kAllActivations, kMemoryBoundFormats, 1},
};

constexpr int kLeastSamples = 20;
constexpr int kMostSamples = 100000;
constexpr int kMostThreads = 1024;

int number_of(std::string_view option, std::string_view text, int lowest, int highest) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < lowest || value > highest) {
    fail(ErrorCode::usage, "{}: not a number in range (found \"{}\", need {} to {}); correct it.", option, text, lowest, highest);
  }
  return value;
}

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const PeerCase& one : kCases) names.emplace_back(one.name);
  return names;
}

std::vector<std::string> split_cases(std::string_view text) {
  const std::vector<std::string> known = case_names();
  std::vector<std::string> names;
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string name(text.substr(0, comma));
    if (std::ranges::find(known, name) == known.end()) {
      fail(ErrorCode::usage, "--cases: unknown case \"{}\" (nearest: {}; known: {}); correct it.", name, nearest_name(name, known),
           join_names(known));
    }
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    if (comma == std::string_view::npos) return names;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace

std::span<const PeerCase> peer_cases() noexcept { return kCases; }

PeersOptions parse_peers_options(std::span<const char* const> arguments) {
  static const std::vector<std::string> kKnown = {"--cases", "--samples", "--threads", "--json", "--node-modules"};
  PeersOptions options{.cases = case_names(), .json = {}, .node_modules = "build/interop/node_modules"};
  if (const char* stated = std::getenv("BITWRIGHT_NODE_MODULES"); stated != nullptr) options.node_modules = stated;
  for (std::size_t i = 0; i < arguments.size(); i += 2) {
    const std::string option = arguments[i];
    if (std::ranges::find(kKnown, option) == kKnown.end()) {
      fail(ErrorCode::usage, "peers: unknown option \"{}\" (nearest: {}; known: {}); correct it.", option, nearest_name(option, kKnown),
           join_names(kKnown));
    }
    if (i + 1 == arguments.size()) fail(ErrorCode::usage, "{}: a value is missing; put it behind the option.", option);
    const std::string_view value = arguments[i + 1];
    if (option == "--cases") options.cases = split_cases(value);
    if (option == "--samples") options.samples = number_of(option, value, kLeastSamples, kMostSamples);
    if (option == "--threads") options.threads = number_of(option, value, 1, kMostThreads);
    if (option == "--json") options.json = value;
    if (option == "--node-modules") options.node_modules = value;
  }
  return options;
}

std::string peers_command(std::string_view case_name, int samples, int threads) {
  std::string command = fmt::format("build/bench/bin/peers --cases {}", case_name);
  if (samples != PeersOptions{}.samples) command += fmt::format(" --samples {}", samples);
  if (threads != PeersOptions{}.threads) command += fmt::format(" --threads {}", threads);
  return command;
}

}  // namespace bitwright
