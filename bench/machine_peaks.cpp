// SPDX-License-Identifier: Apache-2.0
#include "bench/machine_peaks.h"

#include "bitwright/core/huge_block.h"
#include "bitwright/core/cpu.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <limits>
#include <numeric>
#include <string_view>

#if defined(__x86_64__)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace bitwright {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kTries = 7;  // the best counts: whatever disturbs a try makes it slower
// Well beyond every second-level cache, and beyond this core's share of a third-level one.
constexpr std::int64_t kBufferBytes = std::int64_t{256} << 20;

/// Keeps a value alive where the compiler would see that nobody reads it.
template <typename T>
void keep(const T& value) {
  asm volatile("" : : "g"(&value) : "memory");
}

template <typename Run>
double best_seconds(Run run) {
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < kTries; ++i) {
    const auto start = Clock::now();
    run();
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

bool has_feature(std::string_view name) {
  static const std::vector<std::string> features = cpu_features();
  return std::ranges::find(features, name) != features.end();
}

double measure_clock_ghz() {
  constexpr std::int64_t kSteps = 1 << 24;
  const double seconds = best_seconds([] {
    std::uint64_t sum = 1;
    std::uint64_t step = 1;
    asm volatile("" : "+r"(step));
    // Each addition waits for the one before it. The step is a register: processors add small constants while renaming, at no time at all.
    for (std::int64_t i = 0; i < kSteps; i += 16) {
#pragma GCC unroll 16
      for (int unrolled = 0; unrolled < 16; ++unrolled) {
#if defined(__x86_64__)
        asm volatile("add %1, %0" : "+r"(sum) : "r"(step));
#elif defined(__aarch64__)
        asm volatile("add %0, %0, %1" : "+r"(sum) : "r"(step));
#else
        sum += step;
        asm volatile("" : "+r"(sum));
#endif
      }
    }
    keep(sum);
  });
  return static_cast<double>(kSteps) / seconds * 1e-9;
}

constexpr std::int64_t kProductSteps = 1 << 19;

// Sixteen independent sums hide the latency of a multiply-add on every processor known to us. `hide` keeps the compiler from seeing that
// they are equal and computing one of them.
#if defined(__x86_64__)
#define BITWRIGHT_HIDE(values, count) \
  _Pragma("GCC unroll 16") for (int hidden = 0; hidden < (count); ++hidden) asm volatile("" : "+v"((values)[hidden]))

__attribute__((target("avx512f"))) double fma_avx512() {
  const double seconds = best_seconds([]() __attribute__((target("avx512f"))) {
    __m512 sums[16] = {};
    const __m512 a = _mm512_set1_ps(0.999F);
    BITWRIGHT_HIDE(sums, 16);
    for (std::int64_t i = 0; i < kProductSteps; ++i) {
#pragma GCC unroll 16
      for (int k = 0; k < 16; ++k) sums[k] = _mm512_fmadd_ps(a, sums[k], a);
    }
    BITWRIGHT_HIDE(sums, 16);
  });
  return 2.0 * 16 * 16 * static_cast<double>(kProductSteps) / seconds * 1e-9;
}

__attribute__((target("avx2,fma"))) double fma_avx2() {
  const double seconds = best_seconds([]() __attribute__((target("avx2,fma"))) {
    __m256 sums[12] = {};
    const __m256 a = _mm256_set1_ps(0.999F);
    BITWRIGHT_HIDE(sums, 12);
    for (std::int64_t i = 0; i < kProductSteps; ++i) {
#pragma GCC unroll 12
      for (int k = 0; k < 12; ++k) sums[k] = _mm256_fmadd_ps(a, sums[k], a);
    }
    BITWRIGHT_HIDE(sums, 12);
  });
  return 2.0 * 8 * 12 * static_cast<double>(kProductSteps) / seconds * 1e-9;
}

__attribute__((target("avx512f,avx512vnni"))) double vnni_avx512() {
  const double seconds = best_seconds([]() __attribute__((target("avx512f,avx512vnni"))) {
    __m512i sums[16] = {};
    const __m512i a = _mm512_set1_epi8(3);
    BITWRIGHT_HIDE(sums, 16);
    for (std::int64_t i = 0; i < kProductSteps; ++i) {
#pragma GCC unroll 16
      for (int k = 0; k < 16; ++k) sums[k] = _mm512_dpbusd_epi32(sums[k], a, a);
    }
    BITWRIGHT_HIDE(sums, 16);
  });
  return 2.0 * 64 * 16 * static_cast<double>(kProductSteps) / seconds * 1e-9;
}

/// Asks the system for the state of the tiles; Linux gives it only on request.
bool request_tiles() {
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
  return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

/// Eight tiles of 16 rows of 64 bytes.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::array<std::uint8_t, 14> reserved{};
  std::array<std::uint16_t, 16> row_bytes{};
  std::array<std::uint8_t, 16> rows{};
  TileConfig() {
    std::fill_n(row_bytes.begin(), 8, std::uint16_t{64});
    std::fill_n(rows.begin(), 8, std::uint8_t{16});
  }
};

constexpr std::int64_t kTileSteps = 1 << 15;
constexpr double kTileProducts = 4.0 * 16 * 16;  // sums per step, in four tiles

__attribute__((target("amx-tile,amx-int8"))) double int8_amx() {
  const TileConfig config;
  _tile_loadconfig(&config);
  const double seconds = best_seconds([]() __attribute__((target("amx-tile,amx-int8"))) {
    for (std::int64_t i = 0; i < kTileSteps; ++i) {
      _tile_dpbssd(0, 4, 6);
      _tile_dpbssd(1, 4, 7);
      _tile_dpbssd(2, 5, 6);
      _tile_dpbssd(3, 5, 7);
    }
  });
  _tile_release();
  return 2.0 * 64 * kTileProducts * static_cast<double>(kTileSteps) / seconds * 1e-9;
}

__attribute__((target("amx-tile,amx-bf16"))) double bfloat16_amx() {
  const TileConfig config;
  _tile_loadconfig(&config);
  const double seconds = best_seconds([]() __attribute__((target("amx-tile,amx-bf16"))) {
    for (std::int64_t i = 0; i < kTileSteps; ++i) {
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
  });
  _tile_release();
  return 2.0 * 32 * kTileProducts * static_cast<double>(kTileSteps) / seconds * 1e-9;
}

__attribute__((target("avx512f"))) std::uint64_t sum_avx512(const std::uint64_t* values, std::int64_t count) {
  __m512i sums[8] = {};
  for (std::int64_t i = 0; i < count; i += 64) {
#pragma GCC unroll 8
    for (int k = 0; k < 8; ++k) sums[k] = _mm512_add_epi64(sums[k], _mm512_loadu_si512(values + i + 8 * k));
  }
#pragma GCC unroll 8
  for (int k = 1; k < 8; ++k) sums[0] = _mm512_add_epi64(sums[0], sums[k]);
  std::array<std::uint64_t, 8> parts{};
  _mm512_storeu_si512(parts.data(), sums[0]);
  return std::accumulate(parts.begin(), parts.end(), std::uint64_t{0});
}
#endif

double fma_portable() {
  using Vector __attribute__((vector_size(16))) = float;
  const double seconds = best_seconds([] {
    Vector sums[12] = {};
    Vector a = {0.999F, 0.999F, 0.999F, 0.999F};
    for (Vector& sum : sums) keep(sum);
    for (std::int64_t i = 0; i < kProductSteps; ++i) {
#pragma GCC unroll 12
      for (int k = 0; k < 12; ++k) sums[k] = a * sums[k] + a;
    }
    for (Vector& sum : sums) keep(sum);
  });
  return 2.0 * 4 * 12 * static_cast<double>(kProductSteps) / seconds * 1e-9;
}

std::uint64_t sum_portable(const std::uint64_t* values, std::int64_t count) {
  std::array<std::uint64_t, 8> sums{};
  for (std::int64_t i = 0; i < count; i += 8) {
    for (std::size_t k = 0; k < 8; ++k) sums[k] += values[i + static_cast<std::int64_t>(k)];
  }
  return std::accumulate(sums.begin(), sums.end(), std::uint64_t{0});
}

double measure_fma() {
#if defined(__x86_64__)
  if (has_feature("avx512f")) return fma_avx512();
  if (has_feature("avx2") && has_feature("fma")) return fma_avx2();
#endif
  return fma_portable();
}

void measure_integers(MachinePeaks& peaks) {
#if defined(__x86_64__)
  if (has_feature("avx512f") && has_feature("avx512_vnni")) peaks.int8_vnni_gops = vnni_avx512();
  if (!has_feature("amx_tile") || !request_tiles()) return;
  if (has_feature("amx_int8")) peaks.int8_amx_gops = int8_amx();
  if (has_feature("amx_bf16")) peaks.bfloat16_amx_gops = bfloat16_amx();
#else
  (void)peaks;
#endif
}

void measure_memory(MachinePeaks& peaks) {
  const auto count = static_cast<std::size_t>(kBufferBytes / 8);
  const std::vector<std::uint64_t, HugeAllocator<std::uint64_t>> src(count, 1);
  std::vector<std::uint64_t, HugeAllocator<std::uint64_t>> dst(count, 2);  // written before, so that no page is new when it is timed
  auto* const sum = [] {
#if defined(__x86_64__)
    if (has_feature("avx512f")) return &sum_avx512;
#endif
    return &sum_portable;
  }();
  const double read = best_seconds([&] { keep(sum(src.data(), static_cast<std::int64_t>(count))); });
  const double copy = best_seconds([&] {
    std::memcpy(dst.data(), src.data(), static_cast<std::size_t>(kBufferBytes));
    keep(dst);
  });
  peaks.memory_bytes = kBufferBytes;
  peaks.memory_read_gbs = static_cast<double>(kBufferBytes) / read * 1e-9;
  peaks.memory_copy_gbs = static_cast<double>(kBufferBytes) / copy * 1e-9;
}

}  // namespace

MachinePeaks measure_machine_peaks() {
  MachinePeaks peaks;
  peaks.cpu = cpu_name();
  peaks.clock_ghz = measure_clock_ghz();
  peaks.float_fma_gops = measure_fma();
  measure_integers(peaks);
  measure_memory(peaks);
  // Once more, now that the processor has had work for a while and no longer sleeps.
  peaks.clock_ghz = std::max(peaks.clock_ghz, measure_clock_ghz());
  return peaks;
}

const MachinePeaks& machine_peaks() {
  static const MachinePeaks peaks = measure_machine_peaks();
  return peaks;
}

std::vector<std::pair<std::string, double>> peak_numbers(const MachinePeaks& peaks) {
  std::vector<std::pair<std::string, double>> numbers = {{"clock_ghz", peaks.clock_ghz}, {"float_fma_gops", peaks.float_fma_gops}};
  if (peaks.int8_vnni_gops) numbers.emplace_back("int8_vnni_gops", *peaks.int8_vnni_gops);
  if (peaks.int8_amx_gops) numbers.emplace_back("int8_amx_gops", *peaks.int8_amx_gops);
  if (peaks.bfloat16_amx_gops) numbers.emplace_back("bfloat16_amx_gops", *peaks.bfloat16_amx_gops);
  numbers.emplace_back("memory_read_gbs", peaks.memory_read_gbs);
  numbers.emplace_back("memory_copy_gbs", peaks.memory_copy_gbs);
  return numbers;
}

}  // namespace bitwright
