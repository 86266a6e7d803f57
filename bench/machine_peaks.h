// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bitwright {

/// What one thread of this machine reaches at best, measured, so that a benchmark can say which share of it a kernel gets.
/// Units: 10^9 operations or bytes per second; a multiplication and an addition are two operations.
struct MachinePeaks {
  std::string cpu;
  double clock_ghz = 0.0;       ///< a chain of dependent additions, one cycle each
  double float_fma_gops = 0.0;  ///< the widest multiply-add of float32 there is
  std::optional<double> int8_vnni_gops;
  std::optional<double> int8_amx_gops;
  std::optional<double> bfloat16_amx_gops;
  double memory_read_gbs = 0.0;   ///< bytes read
  double memory_copy_gbs = 0.0;   ///< bytes copied by memcpy: each is read and written
  std::int64_t memory_bytes = 0;  ///< size of the buffer that was read
};

/// Measures anew: about a second on an idle machine.
[[nodiscard]] MachinePeaks measure_machine_peaks();

/// The measurement of this process: made on the first call, the same afterwards.
[[nodiscard]] const MachinePeaks& machine_peaks();

/// (name, value) pairs for the context of Google Benchmark's JSON and for JSON of our own, e.g. `memory_read_gbs` = `12.3`.
[[nodiscard]] std::vector<std::pair<std::string, double>> peak_numbers(const MachinePeaks& peaks);

}  // namespace bitwright
