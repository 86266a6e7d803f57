// SPDX-License-Identifier: Apache-2.0
// docs/performance.md says what bench/results says.
#include "bench/peers/page.h"

#include "bitwright/core/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

namespace bitwright {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

const fs::path kRoot = BITWRIGHT_SOURCE_DIR;

TEST(PerformancePage, SaysWhatTheResultsSay) {
  const fs::path page = kRoot / "docs/performance.md";
  const std::string wanted = performance_page(read_results(kRoot / "bench/results"));
  if (std::getenv("BITWRIGHT_UPDATE_DOCS") != nullptr) write_file_atomic(page, wanted);
  EXPECT_EQ(read_text_file(page), wanted) << "run with BITWRIGHT_UPDATE_DOCS=1 to write " << page << " anew";
}

Json contender(const std::string& name, double ms) {
  return {{"name", name}, {"median_ms", ms}, {"min_ms", ms}, {"max_ms", ms}, {"difference_percent", 0.0}};
}

Json peer_case(const char* name, std::vector<Json> contenders) {
  return {{"network", name},
          {"batch", 1},
          {"image", {3, 224, 224}},
          {"threads", 1},
          {"samples", 20},
          {"date", "2026-11-26"},
          {"command", std::string("build/bench/bin/peers --cases ") + name},
          {"peers", {{"onnxruntime", "1"}, {"libtorch", "2"}}},
          {"peaks", {{"clock_ghz", 3.0}}},
          {"contenders", contenders}};
}

MachineResults machine(std::vector<std::string> features) {
  MachineResults results{.machine = "here", .peers = {}, .kernels = {}, .accuracy = {}, .loads = {}};
  results.peers = {{"cpu", "a processor"}, {"cpu_features", features}, {"cases", Json::object()}};
  return results;
}

const PerformanceBar& bar_named(const std::vector<PerformanceBar>& bars, const std::string& text) {
  const auto found = std::ranges::find_if(bars, [&](const PerformanceBar& bar) { return bar.what.find(text) != std::string::npos; });
  EXPECT_NE(found, bars.end()) << text;
  return *found;
}

TEST(PerformanceBars, TheSlowerOfOurFormatsCounts) {
  MachineResults results = machine({"amx_int8"});
  results.peers["cases"]["resnet18"] = peer_case(
      "resnet18",
      {contender("onnxruntime/float32", 22.0), contender("bitwright/int8/ternary", 2.0), contender("bitwright/int8/pow2:5", 2.2)});
  const std::vector<PerformanceBar> bars = performance_bars(results);
  const PerformanceBar& bar = bar_named(bars, "ResNet-18, 1 image, int8");
  ASSERT_TRUE(bar.found);
  EXPECT_NEAR(*bar.found, 10.0, 1e-12);
  EXPECT_TRUE(bar.met());
  results.peers["cases"]["resnet18"]["contenders"][2]["median_ms"] = 2.3;
  EXPECT_FALSE(bar_named(performance_bars(results), "ResNet-18, 1 image, int8").met());
}

TEST(PerformanceBars, WithoutAmxTheBarIsLower) {
  EXPECT_EQ(bar_named(performance_bars(machine({"avx512_vnni"})), "ResNet-18, 1 image, int8").bar, 2.5);
  EXPECT_EQ(bar_named(performance_bars(machine({"amx_int8"})), "ResNet-18, 1 image, int8").bar, 10.0);
}

TEST(PerformanceBars, WhatWasNotMeasuredIsNeitherMetNorMissed) {
  const std::vector<PerformanceBar> bars = performance_bars(machine({"amx_int8"}));
  const PerformanceBar& bar = bar_named(bars, "LeNet-5");
  EXPECT_FALSE(bar.found);
  EXPECT_FALSE(bar.met());
  EXPECT_THAT(performance_page({machine({"amx_int8"})}), HasSubstr("| not measured |"));
}

TEST(PerformanceBars, TheBestKernelCounts) {
  MachineResults results = machine({});
  const auto benchmark = [](const char* name, const char* counter, double value) { return Json{{"name", name}, {counter, value}}; };
  Json gemv;
  gemv["benchmarks"] = {benchmark("gemv_int8:a/4096x4096/levels:3/planes:1/batch:1/real_time", "cycles_per_32", 1.5),
                        benchmark("gemv_int8:b/4096x4096/levels:3/planes:1/batch:1/real_time", "cycles_per_32", 1.1),
                        benchmark("gemv_int8:b/4096x4096/levels:3/planes:1/batch:8/real_time", "cycles_per_32", 0.5),
                        benchmark("gemv_int8:b/512x4096/levels:3/planes:1/batch:1/real_time", "cycles_per_32", 0.6),
                        benchmark("gemv_packed:b/4096x25088/cold/levels:17/batch:1/real_time", "of_read", 0.62),
                        benchmark("gemv_packed:b/4096x25088/levels:17/batch:1/real_time", "of_read", 0.9)};
  Json rounding;
  rounding["benchmarks"] = {benchmark("quantize:b/round:stochastic:block/268435456/real_time", "of_memcpy", 0.49),
                            benchmark("quantize:b/round:stochastic:block/65536/real_time", "of_memcpy", 0.8)};
  results.kernels = {gemv, rounding};
  const std::vector<PerformanceBar> bars = performance_bars(results);
  EXPECT_NEAR(bar_named(bars, "ternary matrix × vector 4096 × 4096").found.value_or(0.0), 1.1, 1e-12);
  EXPECT_TRUE(bar_named(bars, "ternary matrix × vector 4096 × 4096").met());
  EXPECT_NEAR(bar_named(bars, "power-of-two (5-bit)").found.value_or(0.0), 62.0, 1e-12);
  EXPECT_NEAR(bar_named(bars, "stochastic").found.value_or(0.0), 49.0, 1e-12);
  EXPECT_FALSE(bar_named(bars, "stochastic").met());
  EXPECT_FALSE(bar_named(bars, "codebook").found);
}

TEST(PerformanceBars, AccuracyAndLoadingHaveTheirOwnDirections) {
  MachineResults results = machine({});
  results.accuracy = {{"model", "net.bw"}, {"float32", 91.0}, {"int8", 90.8}, {"command", "eval"}};
  results.loads = {{{"source", "resnet18:pow2:5"}, {"total_ms", 59.0}, {"command", "load"}, {"activations", "int8"}},
                   {{"source", "resnet18:pow2:5"}, {"total_ms", 80.0}, {"command", "load"}}};
  const std::vector<PerformanceBar> bars = performance_bars(results);
  EXPECT_TRUE(bar_named(bars, "int8 activations against float32").met());
  EXPECT_TRUE(bar_named(bars, "open and first image, 1 thread").met());
  results.accuracy["int8"] = 90.6;
  results.loads[0]["total_ms"] = 61.0;
  const std::vector<PerformanceBar> worse = performance_bars(results);
  EXPECT_FALSE(bar_named(worse, "int8 activations against float32").met());
  EXPECT_FALSE(bar_named(worse, "open and first image, 1 thread").met());
  // Threads have a bar of their own.
  results.loads.push_back({{"source", "resnet18:pow2:5"}, {"total_ms", 40.0}, {"command", "load"}, {"threads", 2}});
  const std::vector<PerformanceBar> both = performance_bars(results);
  EXPECT_FALSE(bar_named(both, "open and first image, 1 thread").met());
  EXPECT_TRUE(bar_named(both, "open and first image, 2 threads").met());
}

TEST(PerformancePage, MissedIsWrittenAsMissed) {
  MachineResults results = machine({"amx_int8"});
  results.peers["cases"]["resnet18"] =
      peer_case("resnet18", {contender("libtorch/float32", 1.0), contender("bitwright/float32/pow2:5", 2.0)});
  EXPECT_THAT(performance_page({results}), HasSubstr("against LibTorch | ≥ 1 × | 0.50 × | **missed** |"));
  results.peers["cases"]["resnet18"]["contenders"][0]["median_ms"] = 3.0;
  EXPECT_THAT(performance_page({results}), HasSubstr("against LibTorch | ≥ 1 × | 1.50 × | met |"));
}

}  // namespace
}  // namespace bitwright
