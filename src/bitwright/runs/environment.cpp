// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/cpu.h"
#include "bitwright/core/error.h"
#include "bitwright/runs/run.h"

#include <sys/utsname.h>

#ifndef BITWRIGHT_VERSION
#error "the build names the version"
#endif

namespace bitwright {
namespace {

std::string compiler_name() {
#if defined(__clang__)
  return "clang " __clang_version__;
#elif defined(__GNUC__)
  return "gcc " __VERSION__;
#else
  return "unknown";
#endif
}

std::string system_name() {
  utsname names{};
  if (::uname(&names) != 0) return "unknown";
  return fmt::format("{} {} {}", names.sysname, names.release, names.machine);
}

}  // namespace

Metrics environment_facts(int threads) {
  std::string features;
  for (const std::string& feature : cpu_features()) features += (features.empty() ? "" : " ") + feature;
  return {
      {"compiler", compiler_name()},
      {"cpu", cpu_name()},
      {"cpu_count", std::int64_t{cpu_count()}},
      {"cpu_features", features},
      {"system", system_name()},
      {"threads", std::int64_t{threads}},
      {"version", std::string(BITWRIGHT_VERSION)},
  };
}

}  // namespace bitwright
