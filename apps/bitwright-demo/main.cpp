// SPDX-License-Identifier: Apache-2.0
// The main job from end to end, as a user would type it: every step below is a `bitwright` command, shown before it runs.
#include "bitwright/core/error.h"
#include "bitwright/core/file.h"
#include "bitwright/core/progress.h"
#include "bitwright/core/subprocess.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

namespace {

using bitwright::Error;
using bitwright::ErrorCode;
using nlohmann::json;
namespace fs = std::filesystem;

struct DemoOptions {
  fs::path recipes = "recipes";
  fs::path out = "runs/demo";
  std::string data = "mnist";
  std::vector<int> bits = {5, 4, 3, 2};
  int bench_runs = 2000;
};

struct Row {
  std::string name;
  fs::path model;
  double accuracy_training = 0.0;
  double accuracy_runtime = 0.0;
  std::int64_t correct_training = 0;
  std::int64_t correct_runtime = 0;
  std::int64_t images = 0;
  std::int64_t file_bytes = 0;
  double bits_per_weight = 32.0;
  double latency_ms = 0.0;
  double float_latency_ms = 0.0;  ///< of the float model, measured interleaved with this one

  [[nodiscard]] bool same_answers() const { return correct_training == correct_runtime; }
};

/// Shows a command, runs it with its progress on our stderr, and returns what it printed.
std::string run_command(const std::vector<std::string>& arguments) {
  std::string line = "$";
  for (const std::string& argument : arguments) line += " " + argument;
  fmt::print(stderr, "\n{}\n", line);
  // The program beside this one, not another of the same name that PATH may know.
  std::vector<std::string> program = arguments;
  program[0] = (fs::read_symlink("/proc/self/exe").parent_path() / program[0]).string();
  const auto result = bitwright::run_subprocess(program, {}, bitwright::KeptStreams::stdout_only);
  if (result.exit_status != 0) {
    bitwright::fail(ErrorCode::check_failed,
                    "demo: a command did not succeed (found exit code {}, need 0): {}; its own line above says why.", result.exit_status,
                    line.substr(2));
  }
  return result.output;
}

json run_json(const std::vector<std::string>& arguments) {
  const std::string output = run_command(arguments);
  const json document = json::parse(output, nullptr, false);
  if (document.is_discarded()) bitwright::fail(ErrorCode::internal, "demo: `{}` did not print JSON.", arguments[1]);
  return document;
}

void measure(Row& row, const std::string& data) {
  row.file_bytes = static_cast<std::int64_t>(fs::file_size(row.model));
  const json eval = run_json({"bitwright", "eval", row.model.string(), "--data", data, "--threads", "2", "--json"});
  row.accuracy_runtime = eval.at("accuracy").get<double>();
  row.correct_runtime = eval.at("correct").get<std::int64_t>();
  row.images = eval.at("images").get<std::int64_t>();
}

/// Trains by a recipe in the run folder OUT/`folder` and evaluates the packed result with the runtime.
Row train(const DemoOptions& options, const std::string& name, const std::string& folder, const std::string& recipe,
          const std::vector<std::string>& settings) {
  Row row;
  row.name = name;
  const fs::path run = options.out / folder;
  std::vector<std::string> command = {"bitwright", "train", (options.recipes / recipe).string(), "--run", run.string(),
                                      "--resume",  "--json"};
  for (const std::string& setting : settings) command.insert(command.end(), {"--set", setting});
  const json result = run_json(command);
  row.accuracy_training = result.at("accuracy").get<double>();
  row.correct_training = result.at("correct").get<std::int64_t>();
  row.model = run / "model.bw";
  measure(row, options.data);
  return row;
}

/// Latency of one image on one thread, this model and the float model taking turns in one process.
void measure_latency(Row& row, const Row& float_row, int runs) {
  const json bench = run_json({"bitwright", "bench", row.model.string(), "--against", float_row.model.string(), "--batch", "1", "--threads",
                               "1", "--runs", std::to_string(runs), "--json"});
  row.latency_ms = bench.at("median_ms").get<double>();
  row.float_latency_ms = bench.at("against").at("median_ms").get<double>();
}

double bits_per_weight(const fs::path& model) {
  return run_json({"bitwright", "inspect", model.string(), "--json"}).at("bits_per_weight").get<double>();
}

const char* yes_no(bool value) { return value ? "yes" : "NO"; }

void print_table(const DemoOptions& options, const Row& float_row, const std::vector<Row>& rows) {
  fmt::print("\nLeNet-5 on the {} test images of {}; latency of one image on one thread\n\n", float_row.images, options.data);
  fmt::print("{:<8} {:>10} {:>10} {:>10} {:>8} {:>8} {:>10} {:>8}   {}\n", "format", "training %", "runtime %", "file bytes", "smaller",
             "bits/w", "latency ms", "faster", "smaller / faster / same answers");
  fmt::print("{:<8} {:>10.2f} {:>10.2f} {:>10} {:>8} {:>8.2f} {:>10.4f} {:>8}   {}\n", "float32", float_row.accuracy_training,
             float_row.accuracy_runtime, float_row.file_bytes, "1.0 x", float_row.bits_per_weight, float_row.latency_ms, "1.00 x",
             fmt::format("- / - / {}", yes_no(float_row.same_answers())));
  for (const Row& row : rows) {
    fmt::print("{:<8} {:>10.2f} {:>10.2f} {:>10} {:>8} {:>8.2f} {:>10.4f} {:>8}   {}\n", row.name, row.accuracy_training,
               row.accuracy_runtime, row.file_bytes,
               fmt::format("{:.1f} x", static_cast<double>(float_row.file_bytes) / static_cast<double>(row.file_bytes)),
               row.bits_per_weight, row.latency_ms, fmt::format("{:.2f} x", row.float_latency_ms / row.latency_ms),
               fmt::format("{} / {} / {}", yes_no(row.file_bytes < float_row.file_bytes), yes_no(row.latency_ms < row.float_latency_ms),
                           yes_no(row.same_answers())));
  }
}

void write_summary(const DemoOptions& options, const Row& float_row, const std::vector<Row>& rows, double seconds) {
  json summary;
  summary["float"] = {{"accuracy", float_row.accuracy_runtime},
                      {"accuracy_training", float_row.accuracy_training},
                      {"accuracy_runtime", float_row.accuracy_runtime},
                      {"file_bytes", float_row.file_bytes},
                      {"latency_ms", float_row.latency_ms},
                      {"model", float_row.model.string()}};
  summary["quantized"] = json::array();
  for (const Row& row : rows) {
    summary["quantized"].push_back({{"format", row.name},
                                    {"accuracy_training", row.accuracy_training},
                                    {"accuracy_runtime", row.accuracy_runtime},
                                    {"file_bytes", row.file_bytes},
                                    {"bits_per_weight", row.bits_per_weight},
                                    {"latency_ms", row.latency_ms},
                                    {"float_latency_ms", row.float_latency_ms},
                                    {"smaller", row.file_bytes < float_row.file_bytes},
                                    {"faster", row.latency_ms < row.float_latency_ms},
                                    {"same_answers", row.same_answers()},
                                    {"model", row.model.string()}});
  }
  summary["seconds"] = seconds;
  bitwright::write_file_atomic(options.out / "summary.json", summary.dump(2) + "\n");
}

int run_demo(const DemoOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  // A finished demo is run anew; one that was interrupted goes on where it stopped.
  if (fs::exists(options.out / "summary.json")) fs::remove_all(options.out);
  bitwright::make_folders(options.out);

  Row float_row = train(options, "float32", "float32", "mnist-lenet5-float.toml", {});
  std::vector<Row> rows;
  for (const int bits : options.bits) {
    rows.push_back(train(options, fmt::format("pow2:{}", bits), fmt::format("inq-{}bit", bits),
                         fmt::format("mnist-lenet5-inq-{}bit.toml", bits), {"model.from=" + float_row.model.string()}));
    rows.back().bits_per_weight = bits_per_weight(rows.back().model);
    run_command({"bitwright", "verify", rows.back().model.string()});
  }
  for (Row& row : rows) measure_latency(row, float_row, options.bench_runs);
  for (const Row& row : rows) float_row.latency_ms += row.float_latency_ms / static_cast<double>(rows.size());

  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  write_summary(options, float_row, rows, seconds);
  print_table(options, float_row, rows);
  fmt::print("\nThe same facts: {}; the packed files: {}/inq-*/model.bw. All of it took {}.\n", (options.out / "summary.json").string(),
             options.out.string(), bitwright::format_duration(seconds));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  DemoOptions options;
  CLI::App app("Trains LeNet-5 on MNIST, quantizes it with INQ, packs it, and shows that it is smaller, faster and gives the same answers",
               "bitwright-demo");
  app.add_option("--recipes", options.recipes, "Folder of the recipes")->capture_default_str();
  app.add_option("--out", options.out, "Folder for runs and summary.json")->capture_default_str();
  app.add_option("--data", options.data, "Data set that the recipes name")->capture_default_str();
  app.add_option("--bits", options.bits, "Bit widths to quantize to")->delimiter(',')->capture_default_str();
  app.add_option("--bench-runs", options.bench_runs, "Timed runs of each model")->check(CLI::Range(20, 1'000'000))->capture_default_str();
  try {
    app.parse(argc, argv);
    return run_demo(options);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    fmt::print(stderr, "bitwright-demo: {}; run `bitwright-demo --help`.\n", error.what());
    return bitwright::exit_code(ErrorCode::usage);
  } catch (const Error& error) {
    fmt::print(stderr, "bitwright-demo: {}\n", error.message());
    return bitwright::exit_code(error.code());
  } catch (const std::exception& error) {
    fmt::print(stderr, "bitwright-demo: internal error: {}\n", error.what());
    return bitwright::exit_code(ErrorCode::internal);
  }
}
