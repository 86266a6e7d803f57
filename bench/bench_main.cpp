// SPDX-License-Identifier: Apache-2.0
// The main of every benchmark: Google Benchmark's, with this machine's measured peaks at the head of each run and in its JSON.
#include "bench/machine_peaks.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <string_view>

int main(int argc, char** argv) {
  const bool only_lists = std::any_of(argv, argv + argc, [](const char* argument) {
    return std::string_view(argument).starts_with("--benchmark_list_tests") || std::string_view(argument) == "--help";
  });
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  if (!only_lists) {
    const bitwright::MachinePeaks& peaks = bitwright::machine_peaks();
    benchmark::AddCustomContext("cpu", peaks.cpu);
    for (const auto& [name, value] : bitwright::peak_numbers(peaks)) benchmark::AddCustomContext(name, fmt::format("{:.4g}", value));
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
