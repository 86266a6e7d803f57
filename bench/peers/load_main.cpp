// SPDX-License-Identifier: Apache-2.0
// From a packed file to the first image's scores, in a fresh process each time: what a user waits for. The file is in the page cache, as it
// is the second time anyone opens it.
//   load_bench FILE.bw|NETWORK:FORMAT [SAMPLES] [JSON]
// NETWORK:FORMAT, e.g. resnet18:pow2:5, makes the file first. Printed: medians over the processes.
#include "bench/peers/measure.h"
#include "bench/peers/report.h"
#include "bitwright/core/cpu.h"
#include "bitwright/core/error.h"
#include "bitwright/core/file.h"
#include "bitwright/core/subprocess.h"
#include "bitwright/model/packed_file.h"
#include "bitwright/model/zoo.h"
#include "bitwright/runtime/session.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <map>

namespace bitwright {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double since_ms(Clock::time_point start) { return std::chrono::duration<double, std::milli>(Clock::now() - start).count(); }

/// One process' share: opens the file, runs one image, prints the parts of the time.
void run_once(const fs::path& file) {
  const auto start = Clock::now();
  Model model = load_packed(file);
  const double read_ms = since_ms(start);
  Session session(std::move(model), {.threads = 1, .batch = 1});
  const double planned_ms = since_ms(start);
  const std::vector<float> input(static_cast<std::size_t>(session.input_shape().element_count()), 0.5F);
  std::vector<float> output(static_cast<std::size_t>(session.output_shape().element_count()));
  session.run(input, output);
  const double total_ms = since_ms(start);
  const Json parts = {{"read_ms", read_ms}, {"plan_ms", planned_ms - read_ms}, {"run_ms", total_ms - planned_ms}, {"total_ms", total_ms}};
  fmt::print("{}\n", parts.dump());
}

Model zoo_model(const std::string& text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) fail(ErrorCode::usage, "{}: neither a .bw file nor NETWORK:FORMAT; give one of them.", text);
  Model model = build_zoo_model(text.substr(0, colon), 1);
  const std::string format = text.substr(colon + 1);
  for (const std::string& name : quantizable_weights(model.graph)) {
    Weight& weight = model.weights.at(name);
    weight = quantize(NumberFormat::parse(format), weight_shape(weight), weight_values(weight));
  }
  return model;
}

int samples_of(const char* text) {
  int samples = 0;
  const std::string_view digits = text;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), samples);
  if (error != std::errc() || end != digits.data() + digits.size() || samples < 1) {
    fail(ErrorCode::usage, "SAMPLES: not a number (found \"{}\", need 1 or more); correct it.", digits);
  }
  return samples;
}

Json measure(const std::string& self, const fs::path& file, int samples) {
  std::map<std::string, std::vector<double>> parts;
  for (int i = 0; i <= samples; ++i) {
    const SubprocessResult result = run_subprocess({self, "--once", file.string()}, {}, KeptStreams::stdout_only);
    if (result.exit_status != 0)
      fail(ErrorCode::io, "{}: the measured process failed (exit {}); run it by hand.", self, result.exit_status);
    if (i == 0) continue;  // it brings the file and the program into the page cache
    const Json answer = Json::parse(result.output);
    for (const auto& [name, value] : answer.items()) parts[name].push_back(value.get<double>());
  }
  Json medians;
  for (const char* name : {"read_ms", "plan_ms", "run_ms", "total_ms"}) medians[name] = median(parts.at(name));
  return medians;
}

void run(const std::string& self, std::span<const char* const> arguments) {
  if (arguments.empty() || arguments.size() > 3) {
    fail(ErrorCode::usage, "load_bench: wrong number of arguments (found {}, need 1 to 3); give FILE.bw|NETWORK:FORMAT [SAMPLES] [JSON].",
         arguments.size());
  }
  const std::string source = arguments[0];
  if (source == "--once") return run_once(arguments[1]);
  const int samples = arguments.size() > 1 ? samples_of(arguments[1]) : 20;
  fs::path file = source;
  const bool makes_file = !fs::exists(file);
  if (makes_file) {
    file = fs::temp_directory_path() / fmt::format("bitwright-load-{}.bw", ::getpid());
    save_packed(file, zoo_model(source));
  }
  Json result = {{"cpu", cpu_name()},
                 {"date", fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr)))},
                 {"command", fmt::format("build/bench/bin/load_bench {} {}", source, samples)},
                 {"source", source},
                 {"file_bytes", fs::file_size(file)},
                 {"samples", samples}};
  const Json medians = measure(self, file, samples);
  for (const auto& [name, value] : medians.items()) result[name] = value;
  if (makes_file) fs::remove(file);
  fmt::print("{}\n", result.dump(2));
  if (arguments.size() > 2) write_file_atomic(arguments[2], result.dump(2) + "\n");
}

}  // namespace
}  // namespace bitwright

int main(int argc, char** argv) {
  try {
    bitwright::run(argv[0], std::span<const char* const>(argv + 1, static_cast<std::size_t>(argc - 1)));
    return 0;
  } catch (const bitwright::Error& error) {
    fmt::print(stderr, "error: {}\n", error.message());
    return bitwright::exit_code(error.code());
  }
}
