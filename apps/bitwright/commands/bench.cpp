// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/cpu.h"
#include "bitwright/core/error.h"
#include "bitwright/core/rng.h"
#include "bitwright/model/fixed_point_model.h"
#include "bitwright/model/model_source.h"
#include "bitwright/runtime/session.h"
#include "commands/commands.h"
#include "common/model_facts.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <vector>

namespace bitwright::apps {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kWarmUpRounds = 10;
constexpr std::int64_t kMinRounds = 20;
constexpr std::int64_t kMaxRounds = 20000;

struct BenchOptions {
  std::string model;
  std::string against;
  std::int64_t batch = 1;
  int threads = 1;
  std::int64_t rounds = 0;  ///< 0 = as many as fit in `seconds`
  double seconds = 2.0;
  std::string activations = "float32";
  std::string against_activations;  ///< of the rival; empty = the same
  bool json = false;
  bool why = false;
};

/// One model under measurement: a session with fixed input, and the time of each run.
class Contestant {
 public:
  Contestant(const std::string& source, const BenchOptions& options, const std::string& activations)
      : source_(source),
        session_(open_model(source), {.threads = options.threads, .batch = options.batch, .activations = parse_activations(activations)}) {
    input_.resize(static_cast<std::size_t>(session_.input_shape().element_count() * options.batch));
    output_.resize(static_cast<std::size_t>(session_.output_shape().element_count() * options.batch));
    const Rng rng(1, "bench.input");
    for (std::size_t i = 0; i < input_.size(); ++i) input_[i] = static_cast<float>(rng.normal(i));
  }

  /// Runs once and returns the time in milliseconds.
  double run() {
    const auto start = std::chrono::steady_clock::now();
    session_.run(input_, output_);
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  }
  void record(double milliseconds) { times_ms_.push_back(milliseconds); }
  void reserve(std::int64_t rounds) { times_ms_.reserve(static_cast<std::size_t>(rounds)); }

  /// Sorts the times: after this, `median_ms`, `min_ms` and `max_ms` are good.
  void finish() { std::ranges::sort(times_ms_); }
  [[nodiscard]] double median_ms() const {
    const std::size_t middle = times_ms_.size() / 2;
    return times_ms_.size() % 2 == 1 ? times_ms_[middle] : 0.5 * (times_ms_[middle - 1] + times_ms_[middle]);
  }
  [[nodiscard]] double min_ms() const { return times_ms_.front(); }
  [[nodiscard]] double max_ms() const { return times_ms_.back(); }
  [[nodiscard]] double images_per_second() const { return 1000.0 * static_cast<double>(session_.batch()) / median_ms(); }
  [[nodiscard]] const std::string& source() const { return source_; }
  [[nodiscard]] const Session& session() const { return session_; }

 private:
  std::string source_;
  Session session_;
  std::vector<float> input_;
  std::vector<float> output_;
  std::vector<double> times_ms_;
};

/// Measures all contestants in turn, round by round, so that a drift of the machine's speed meets them alike. The order alternates.
std::int64_t measure(std::span<Contestant*> contestants, const BenchOptions& options) {
  double round_ms = 0.0;
  for (std::int64_t round = 0; round < kWarmUpRounds; ++round) {
    round_ms = 0.0;
    for (Contestant* contestant : contestants) round_ms += contestant->run();
  }
  const double fitting = std::min(1000.0 * options.seconds / std::max(round_ms, 1e-6), static_cast<double>(kMaxRounds));
  const std::int64_t rounds = options.rounds > 0 ? options.rounds : std::max(kMinRounds, static_cast<std::int64_t>(fitting));
  for (Contestant* contestant : contestants) contestant->reserve(rounds);
  for (std::int64_t round = 0; round < rounds; ++round) {
    for (Contestant* contestant : contestants) contestant->record(contestant->run());
    std::ranges::reverse(contestants);
  }
  for (Contestant* contestant : contestants) contestant->finish();
  return rounds;
}

std::string activations_of(const Session& session) {
  return is_fixed_point(session.model().graph) ? "fixed-point" : std::string(activations_name(session.activations()));
}

Json facts_of(const Contestant& contestant) {
  Json kernels = Json::array();
  for (const NodeReport& node : contestant.session().describe()) {
    kernels.push_back(
        {{"node", node.node}, {"op", node.op}, {"kernel", node.kernel}, {"type", value_type_name(node.type)}, {"refusals", node.refusals}});
  }
  return {{"model", contestant.source()},
          {"activations", activations_of(contestant.session())},
          {"median_ms", contestant.median_ms()},
          {"min_ms", contestant.min_ms()},
          {"max_ms", contestant.max_ms()},
          {"images_per_second", contestant.images_per_second()},
          {"kernels", kernels}};
}

std::string text_of(const Contestant& contestant, const BenchOptions& options) {
  std::string text = fmt::format("{}\n  median {:.4f} ms, min {:.4f} ms, max {:.4f} ms, {:.0f} images/s\n", contestant.source(),
                                 contestant.median_ms(), contestant.min_ms(), contestant.max_ms(), contestant.images_per_second());
  for (const NodeReport& node : contestant.session().describe()) {
    text += fmt::format("  {:<20} {:<20} {:<9} {}\n", node.node, node.op, value_type_name(node.type), node.kernel);
    if (!options.why) continue;
    for (const std::string& refusal : node.refusals)
      text += fmt::format("  {:<20} {:<20} {:<9}   {}{}\n", "", "", "", refusal.starts_with("weights:") ? "" : "not ", refusal);
  }
  return text;
}

void bench(const BenchOptions& options) {
  Contestant subject(options.model, options, options.activations);
  std::unique_ptr<Contestant> rival;
  std::vector<Contestant*> contestants = {&subject};
  if (!options.against.empty() || !options.against_activations.empty()) {
    const std::string& source = options.against.empty() ? options.model : options.against;
    rival = std::make_unique<Contestant>(source, options,
                                         options.against_activations.empty() ? options.activations : options.against_activations);
    contestants.push_back(rival.get());
  }
  const std::int64_t rounds = measure(contestants, options);

  Json document = facts_of(subject);
  std::string text = text_of(subject, options);
  if (rival != nullptr) {
    const double ratio = rival->median_ms() / subject.median_ms();
    document["against"] = facts_of(*rival);
    document["ratio"] = ratio;
    text += text_of(*rival, options);
    text += fmt::format("{} ({}) takes {:.3f} times as long as {} ({})\n", rival->source(), activations_of(rival->session()), ratio,
                        subject.source(), activations_of(subject.session()));
  }
  document["batch"] = options.batch;
  document["threads"] = options.threads;
  document["runs"] = rounds;
  const std::string activations = activations_of(subject.session());
  document["cpu"] = cpu_name();
  document["cpu_features"] = cpu_features();
  text += fmt::format("{} runs, batch {}, {} thread{}, {} activations\nCPU: {} ({})\n", rounds, options.batch, options.threads,
                      options.threads == 1 ? "" : "s", activations, cpu_name(), fmt::join(cpu_features(), " "));
  write_result(options.json ? document.dump(2) + "\n" : text);
}

}  // namespace

Action declare_bench(CLI::App& app) {
  auto options = std::make_shared<BenchOptions>();
  app.add_option("MODEL", options->model, kModelHelp)->required()->type_name("");
  app.add_option("--against", options->against, "Measure this model too, run by run in turn, and print the ratio")->type_name("MODEL");
  app.add_option("--batch", options->batch, "Images per run (default: 1)")->type_name("N")->check(CLI::Range(1, 65536));
  app.add_option("--threads", options->threads, "Threads (default: 1)")->type_name("N")->check(CLI::Range(1, 1024));
  app.add_option("--runs", options->rounds, "Runs of each model (default: as many as fit in --seconds)")
      ->type_name("N")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--seconds", options->seconds, "Time to spend (default: 2)")->type_name("S")->check(CLI::Range(0.01, 3600.0));
  app.add_option("--activations", options->activations, "float32, bfloat16 or int8 (default: float32)")->type_name("TYPE");
  app.add_option("--against-activations", options->against_activations, "Measure the other model, or this one, in this type too")
      ->type_name("TYPE");
  app.add_flag("--why", options->why, "Say why faster kernels refused each layer");
  app.add_flag("--json", options->json, "Print one JSON document");
  return [options] { bench(*options); };
}

}  // namespace bitwright::apps
