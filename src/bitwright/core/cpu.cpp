// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/cpu.h"

#include <sched.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>
#include <string_view>
#include <thread>

namespace bitwright {
namespace {

/// What stands behind the first `name : ` in /proc/cpuinfo; empty where there is none.
std::string cpuinfo_field(std::string_view name) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || !line.starts_with(name)) continue;
    if (line.find_last_not_of(" \t", colon - 1) + 1 != name.size()) continue;
    const std::size_t start = line.find_first_not_of(" \t", colon + 1);
    return start == std::string::npos ? std::string() : line.substr(start);
  }
  return {};
}

// In the order in which reports show them; the system's own spelling. The kernel hides what it does not let programs use.
constexpr std::array kRelevantFeatures = std::to_array<std::string_view>(
    {"sse4_2",   "avx",      "f16c",        "fma",         "avx2",        "avx_vnni", "avx512f",  "avx512dq",
     "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16",
     "asimd",    "asimdhp",  "asimddp",     "bf16",        "i8mm",        "sve",      "sve2"});

}  // namespace

std::string cpu_name() {
  const std::string name = cpuinfo_field("model name");
  return name.empty() ? "unknown" : name;
}

std::vector<std::string> cpu_features() {
  const std::string flags = cpuinfo_field("flags") + " " + cpuinfo_field("Features");
  std::istringstream stream(flags);
  std::vector<std::string> offered;
  for (std::string flag; stream >> flag;) offered.push_back(flag);
  std::vector<std::string> features;
  for (const std::string_view feature : kRelevantFeatures) {
    if (std::ranges::find(offered, feature) != offered.end()) features.emplace_back(feature);
  }
  return features;
}

int cpu_count() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof(allowed), &allowed) == 0) return std::max(1, CPU_COUNT(&allowed));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));  // more processors than cpu_set_t holds
}

}  // namespace bitwright
