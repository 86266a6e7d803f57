// SPDX-License-Identifier: Apache-2.0
#include "bench/peers/page.h"

#include "bench/peers/report.h"
#include "bitwright/core/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <regex>

namespace bitwright {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr std::string_view kHead = R"(# Performance

Generated from `bench/results/` by `tests/performance`; a test fails when it is stale, `BITWRIGHT_UPDATE_DOCS=1` writes it anew. Every verdict is
computed, every ratio is from one run of one program, and the command beside it gives it again (`cmake --preset bench && cmake --build --preset bench`).
`scripts/measure-performance.sh MACHINE` measures everything anew.

How `bench/peers` measures: all contenders run the same network on the same random images, one after the other; one round of turns is a sample, and the order is
reversed after each. A turn is one untimed run and then as many timed ones as fit in 50 ms (at least one, at most 50), so what is timed is the steady state; their median is the sample, the table shows the median of
the samples. ONNX Runtime runs in a child process (`onnxruntime-node` of the version beside each table, from the folder that `BITWRIGHT_NODE_MODULES` names or else the one that `./test` installs; `intraOpNumThreads` and `interOpNumThreads` as said) and times itself around the native call; what
the call costs on an almost empty graph, measured in the same run, is taken off. Its int8 form is what its own tools make of the network: `QuantizeLinear` and
`DequantizeLinear` around every operator, per-channel int8 weights, uint8 activations by min-max of the images. LibTorch runs the float network with batch
normalization folded, channels last, in inference mode. Weights are random (the time does not depend on them). Before any time is taken our float32 scores must be
ONNX Runtime's to 1/100,000 of their range. *Largest difference* compares each contender's scores with float32 arithmetic on the same weights, in percent of their range.
)";

/// Median of a contender in milliseconds.
std::optional<double> median_of(const MachineResults& results, const std::string& peer_case, std::string_view contender) {
  if (!results.peers.contains("cases") || !results.peers.at("cases").contains(peer_case)) return std::nullopt;
  const Json found = find_contender(results.peers.at("cases").at(peer_case), contender);
  if (found.is_null()) return std::nullopt;
  return found.at("median_ms").get<double>();
}

std::optional<double> ratio(std::optional<double> slow, std::optional<double> fast) {
  if (!slow || !fast) return std::nullopt;
  return *slow / *fast;
}

std::string command_of(const MachineResults& results, const std::string& peer_case) {
  if (!results.peers.contains("cases") || !results.peers.at("cases").contains(peer_case))
    return "build/bench/bin/peers --cases " + peer_case;
  return results.peers.at("cases").at(peer_case).at("command").get<std::string>();
}

/// The smaller of two; nothing when one is missing.
std::optional<double> least(std::optional<double> a, std::optional<double> b) {
  if (!a || !b) return std::nullopt;
  return std::min(*a, *b);
}

bool has_feature(const MachineResults& results, std::string_view name) {
  if (!results.peers.contains("cpu_features")) return false;
  const Json& features = results.peers.at("cpu_features");
  return std::any_of(features.begin(), features.end(), [&](const Json& feature) { return feature.get<std::string>() == name; });
}

/// How many times faster than ONNX Runtime's float32 the slower of our ternary and power-of-two models is.
PerformanceBar against_onnx_runtime(const MachineResults& results, const std::string& what, const std::string& peer_case,
                                    const std::string& activations, double bar) {
  const std::optional<double> peer = median_of(results, peer_case, "onnxruntime/float32");
  const auto ours = [&](const char* format) {
    return ratio(peer, median_of(results, peer_case, "bitwright/" + activations + "/" + format));
  };
  return {.what = what,
          .bar = bar,
          .at_least = true,
          .unit = " ×",
          .found = least(ours("ternary"), ours("pow2:5")),
          .command = command_of(results, peer_case)};
}

/// One line of gemv_bench or quantize_bench that has a bar. The best of all kernels counts: it is what a session would take.
struct KernelBar {
  const char* what;
  const char* name;  ///< of the benchmark, as a regular expression
  const char* counter;
  double bar;
  bool at_least;
  const char* unit;
  double factor;  ///< from counter to unit
  const char* command;
};
constexpr const char* kGemv = "build/bench/bin/gemv_bench --benchmark_filter=4096x";
constexpr const char* kRounding = "build/bench/bin/quantize_bench --benchmark_filter=round:";
constexpr KernelBar kKernelBars[] = {
    {"ternary matrix × vector 4096 × 4096, in cache", "/4096x4096/(levels:3|digits)(/planes:1)?/batch:1(/|$)", "cycles_per_32", 1.2, false,
     " cycles per 32 weights", 1.0, kGemv},
    {"ternary matrix × vector 25088 × 4096 from memory, of the read bandwidth", "/4096x25088/cold/(levels:3|digits)(/planes:1)?/batch:1(/|$)",
     "of_read", 70.0, true, " %", 100.0, kGemv},
    {"power-of-two (5-bit) matrix × vector from memory, of the read bandwidth", "/4096x25088/cold/levels:17(/planes:1)?/batch:1(/|$)",
     "of_read", 60.0, true, " %", 100.0, kGemv},
    {"codebook (4-bit) matrix × vector from memory, of the read bandwidth", "/4096x25088/cold/levels:16(/planes:1)?/batch:1(/|$)",
     "of_read", 60.0, true, " %", 100.0, kGemv},
    {"rounding to fixed point, nearest, of `memcpy`", "/round:nearest_(even|down)/268435456(/|$)", "of_memcpy", 75.0, true, " %", 100.0,
     kRounding},
    {"rounding to fixed point, stochastic, of `memcpy`", "/round:stochastic:(block|word)/268435456(/|$)", "of_memcpy", 50.0, true, " %",
     100.0, kRounding},
};

/// Calls `visit(benchmark, value of the counter)` for every benchmark that a bar is about.
template <typename Visit>
void for_each_benchmark(const MachineResults& results, const KernelBar& bar, Visit&& visit) {
  const std::regex pattern(bar.name);
  for (const Json& kernels : results.kernels) {
    for (const Json& one : kernels.at("benchmarks")) {
      if (one.contains(bar.counter) && std::regex_search(one.at("name").get<std::string>(), pattern))
        visit(one, one.at(bar.counter).get<double>());
    }
  }
}

std::optional<double> best_of(const MachineResults& results, const KernelBar& bar) {
  std::optional<double> best;
  for_each_benchmark(results, bar, [&](const Json&, double value) {
    if (!best || (bar.at_least ? value > *best : value < *best)) best = value;
  });
  return best;
}

std::string number(double value) {
  const double magnitude = std::abs(value);
  return fmt::format("{:.{}f}", value, magnitude >= 100 ? 0 : magnitude >= 10 ? 1 : 2);
}

std::string bars_table(const MachineResults& results) {
  std::string table = "| what | asked | measured | | command |\n|---|---|---|---|---|\n";
  for (const PerformanceBar& bar : performance_bars(results)) {
    const std::string verdict = !bar.found ? "not measured" : bar.met() ? "met" : "**missed**";
    table += fmt::format("| {} | {} {:g}{} | {} | {} | `{}` |\n", bar.what, bar.at_least ? "≥" : "≤", bar.bar, bar.unit,
                         bar.found ? number(*bar.found) + bar.unit : "", verdict, bar.command);
  }
  return table;
}

std::string peaks_line(const Json& peaks) {
  std::string line;
  const auto add = [&](const char* key, const char* text) {
    if (peaks.contains(key))
      line += fmt::format("{}{}", line.empty() ? "" : ", ", fmt::format(fmt::runtime(text), peaks.at(key).get<double>()));
  };
  add("clock_ghz", "{:.2f} GHz");
  add("float_fma_gops", "float32 multiply-add {:.0f} Gop/s");
  add("int8_vnni_gops", "int8 VNNI {:.0f} Gop/s");
  add("int8_amx_gops", "int8 AMX {:.0f} Gop/s");
  add("bfloat16_amx_gops", "bfloat16 AMX {:.0f} Gop/s");
  add("memory_read_gbs", "memory read {:.1f} GB/s");
  add("memory_copy_gbs", "memory copy {:.1f} GB/s");
  return line;
}

std::string extents(const Json& image) {
  std::string text;
  for (const Json& extent : image) text += fmt::format("{}{}", text.empty() ? "" : " × ", extent.get<std::int64_t>());
  return text;
}

std::string peers_section(const MachineResults& results) {
  if (!results.peers.contains("cases")) return {};
  std::string text = "### Side by side\n";
  for (const auto& [name, peer_case] : results.peers.at("cases").items()) {
    const auto batch = peer_case.at("batch").get<std::int64_t>();
    const auto threads = peer_case.at("threads").get<int>();
    text += fmt::format(
        "\n**{}**: {} image{} of {}, {} thread{}, medians of {} ({}; ONNX Runtime {}, LibTorch {}); `{}`\n\nPeaks of one thread in this "
        "run: {}.\n\n{}",
        name, batch, batch == 1 ? "" : "s", extents(peer_case.at("image")), threads, threads == 1 ? "" : "s",
        peer_case.at("samples").get<int>(), peer_case.at("date").get<std::string>(),
        peer_case.at("peers").at("onnxruntime").get<std::string>(), peer_case.at("peers").at("libtorch").get<std::string>(),
        peer_case.at("command").get<std::string>(), peaks_line(peer_case.at("peaks")), case_table(peer_case));
  }
  return text;
}

std::string kernels_section(const MachineResults& results) {
  std::string rows;
  for (const KernelBar& bar : kKernelBars) {
    for_each_benchmark(results, bar, [&](const Json& one, double value) {
      rows += fmt::format("| {} | `{}` | {}{} |\n", bar.what, one.at("name").get<std::string>(), number(value * bar.factor), bar.unit);
    });
  }
  if (rows.empty()) return {};
  return "\n### Kernels\n\nOne thread; read and copy speeds are those of the same process. Every kernel that a bar is about:\n\n| what | "
         "kernel | measured |\n|---|---|---:|\n" +
         rows;
}

std::string accuracy_section(const MachineResults& results) {
  if (!results.accuracy.contains("int8")) return {};
  std::string text =
      fmt::format("\n### Accuracy\n\n`{}`, whole test split, by type of activations:", results.accuracy.at("model").get<std::string>());
  for (const char* activations : {"float32", "bfloat16", "int8"}) {
    if (results.accuracy.contains(activations))
      text += fmt::format(" {} {:.2f} %,", activations, results.accuracy.at(activations).get<double>());
  }
  text.back() = '.';
  return text + "\n";
}

std::string loading_section(const MachineResults& results) {
  if (results.loads.empty()) return {};
  std::string text =
      "\n### Loading\n\nFrom the packed file to the first image's scores in a fresh process, file in the page cache; medians. Planning includes one "
      "run, after which runs take no memory; a session of two threads makes oneDNN's primitives on one while it decodes weights on the "
      "other.\n\n| model | activations | threads | bytes | read and check, ms | plan, ms | first image, ms | together, ms | command |\n"
      "|---|---|---:|---:|---:|---:|---:|---:|---|\n";
  for (const Json& load : results.loads) {
    text += fmt::format("| {} | {} | {} | {} | {:.1f} | {:.1f} | {:.1f} | {:.1f} | `{}` |\n", load.at("source").get<std::string>(),
                        load.value("activations", "float32"), load.value("threads", 1), load.at("file_bytes").get<std::int64_t>(), load.at("read_ms").get<double>(),
                        load.at("plan_ms").get<double>(), load.at("run_ms").get<double>(), load.at("total_ms").get<double>(),
                        load.at("command").get<std::string>());
  }
  return text;
}

// The fastest type of activations counts.
PerformanceBar loading_bar(const MachineResults& results, int threads) {
  const std::string suffix = threads == 1 ? "1 thread" : fmt::format("{} threads", threads);
  PerformanceBar load{.what = "ResNet-18 at 5 bits: open and first image, " + suffix,
                      .bar = 60.0,
                      .at_least = false,
                      .unit = " ms",
                      .found = {},
                      .command = "build/bench/bin/load_bench resnet18:pow2:5"};
  for (const Json& one : results.loads) {
    if (one.at("source").get<std::string>() != "resnet18:pow2:5" || one.value("threads", 1) != threads) continue;
    const double total = one.at("total_ms").get<double>();
    if (load.found && *load.found <= total) continue;
    load.found = total;
    load.command = one.at("command").get<std::string>();
    load.what = fmt::format("ResNet-18 at 5 bits, {} activations: open and first image, {}", one.value("activations", "float32"), suffix);
  }
  return load;
}

}  // namespace

std::vector<PerformanceBar> performance_bars(const MachineResults& results) {
  const bool has_amx = has_feature(results, "amx_int8");
  std::vector<PerformanceBar> bars;
  bars.push_back(against_onnx_runtime(results, "ResNet-18, 1 image, int8 activations, against ONNX Runtime float32", "resnet18", "int8",
                                      has_amx ? 10.0 : 2.5));
  if (has_amx) {
    bars.push_back(against_onnx_runtime(results, "ResNet-18, 1 image, bfloat16 activations, against ONNX Runtime float32", "resnet18",
                                        "bfloat16", 5.0));
  }
  bars.push_back(against_onnx_runtime(results, "ResNet-20, 128 images, int8 activations, against ONNX Runtime float32", "resnet20", "int8",
                                      has_amx ? 8.0 : 2.5));
  bars.push_back(
      against_onnx_runtime(results, "LeNet-5, 1 image, float32 activations, against ONNX Runtime float32", "lenet5", "float32", 1.0));
  for (const char* activations : {"float32", "bfloat16", "int8"}) {
    const std::string ours = fmt::format("bitwright/{}/pow2:5", activations);
    const std::optional<double> one = median_of(results, "resnet18", ours);
    const std::optional<double> two = median_of(results, "resnet18", ours + "/2 threads");
    bars.push_back({.what = fmt::format("ResNet-18, 1 image, {} activations, 2 threads against 1", activations),
                    .bar = 1.7,
                    .at_least = true,
                    .unit = " ×",
                    .found = ratio(one, two),
                    .command = command_of(results, "resnet18")});
  }
  for (const KernelBar& kernel : kKernelBars) {
    std::optional<double> found = best_of(results, kernel);
    if (found) found = *found * kernel.factor;
    bars.push_back({.what = kernel.what,
                    .bar = kernel.bar,
                    .at_least = kernel.at_least,
                    .unit = kernel.unit,
                    .found = found,
                    .command = kernel.command});
  }
  bars.push_back(
      {.what = "ResNet-18, 1 image, float32 activations, against LibTorch",
       .bar = 1.0,
       .at_least = true,
       .unit = " ×",
       .found = ratio(median_of(results, "resnet18", "libtorch/float32"), median_of(results, "resnet18", "bitwright/float32/pow2:5")),
       .command = command_of(results, "resnet18")});
  PerformanceBar accuracy{.what = "int8 activations against float32, ResNet-20, CIFAR-10",
                          .bar = -0.3,
                          .at_least = true,
                          .unit = " points",
                          .found = {},
                          .command = "build/release/bin/bitwright eval"};
  if (results.accuracy.contains("int8")) {
    accuracy.found = results.accuracy.at("int8").get<double>() - results.accuracy.at("float32").get<double>();
    accuracy.command = results.accuracy.at("command").get<std::string>();
  }
  bars.push_back(accuracy);
  bars.push_back(loading_bar(results, 1));
  if (std::ranges::any_of(results.loads, [](const Json& load) { return load.value("threads", 1) == 2; }))
    bars.push_back(loading_bar(results, 2));
  return bars;
}

std::vector<MachineResults> read_results(const fs::path& folder) {
  std::vector<MachineResults> machines;
  if (!fs::exists(folder)) return machines;
  const auto read = [](const fs::path& path) { return fs::exists(path) ? read_report(path) : Json(nullptr); };
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!entry.is_directory()) continue;
    const fs::path& path = entry.path();
    MachineResults results{.machine = path.filename().string(),
                           .peers = read(path / "peers.json"),
                           .kernels = {},
                           .accuracy = read(path / "accuracy.json"),
                           .loads = {}};
    std::vector<fs::path> files;
    for (const auto& file : fs::directory_iterator(path)) files.push_back(file.path());
    std::ranges::sort(files);
    for (const fs::path& file : files) {
      const std::string name = file.filename().string();
      if (name.starts_with("load-")) results.loads.push_back(read(file));
      if (name.starts_with("kernels-")) results.kernels.push_back(read(file));
    }
    machines.push_back(std::move(results));
  }
  std::ranges::sort(machines, {}, &MachineResults::machine);
  return machines;
}

std::string performance_page(const std::vector<MachineResults>& machines) {
  std::string page(kHead);
  for (const MachineResults& results : machines) {
    page += fmt::format("\n## {}\n\n", results.machine);
    if (results.peers.contains("cpu")) {
      std::string features;
      for (const Json& feature : results.peers.at("cpu_features")) features += (features.empty() ? "" : ", ") + feature.get<std::string>();
      page += fmt::format("{} ({})\n\n", results.peers.at("cpu").get<std::string>(), features);
    }
    page += "### The bars\n\n" + bars_table(results) + "\n" + peers_section(results) + kernels_section(results) +
            accuracy_section(results) + loading_section(results);
  }
  return page;
}

}  // namespace bitwright
