// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

/// What the program `peers` measures side by side: one network on random images.
struct PeerCase {
  std::string_view name;
  std::string_view network;  ///< of the zoo
  std::int64_t batch;
  std::span<const std::string_view> activations;  ///< of our sessions
  std::span<const std::string_view> formats;      ///< of our weights; `float` leaves them as they are
  int more_threads;                               ///< run our packed models on this many threads, too; 1: don't
};

[[nodiscard]] std::span<const PeerCase> peer_cases() noexcept;

struct PeersOptions {
  std::vector<std::string> cases;  ///< names of `peer_cases`, in the order given
  int samples = 20;                ///< turns of every contender
  int threads = 1;
  std::filesystem::path json;          ///< empty: only the table is printed
  std::filesystem::path node_modules;  ///< where onnxruntime-node is
};

/// `--cases NAME,…` (default: all), `--samples N` (at least 20), `--threads N`, `--json FILE`, `--node-modules FOLDER` (default: what
/// BITWRIGHT_NODE_MODULES says, else build/interop/node_modules).
/// Throws: `Error(usage)` for anything else, naming the nearest known word.
[[nodiscard]] PeersOptions parse_peers_options(std::span<const char* const> arguments);

/// How the page tells a reader to run a case again.
[[nodiscard]] std::string peers_command(std::string_view case_name, int samples, int threads);

}  // namespace bitwright
