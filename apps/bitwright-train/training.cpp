// SPDX-License-Identifier: Apache-2.0
#include "training.h"

#include "bitwright/core/cpu.h"
#include "bitwright/core/error.h"
#include "bitwright/core/progress.h"
#include "bitwright/model/packed_file.h"
#include "bitwright/runs/run.h"
#include "bitwright/train/run_training.h"
#include "common/model_facts.h"
#include "run_folder.h"
#include "stop_signal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <optional>

namespace bitwright::apps {
namespace {

/// Training takes long: a result that can't be written in the end is refused at the start.
void require_writable(const std::filesystem::path& output) {
  const std::filesystem::path probe = output.string() + ".probe";
  const int descriptor = ::open(probe.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (descriptor < 0) {
    fail(ErrorCode::io, "{}: cannot write the file ({}); choose a folder that exists and that you may write to.", output.string(),
         std::strerror(errno));
  }
  ::close(descriptor);
  ::unlink(probe.c_str());
}

/// Draws the progress of a run; the bar begins where a resumed run stands.
class TrainingBar {
 public:
  void draw(const TrainProgress& progress) {
    if (!bar_) {
      first_step_ = progress.step > 1 ? progress.step - 1 : 0;
      const std::string title = first_step_ > 0 ? fmt::format("train from step {}", first_step_) : "train";
      bar_.emplace(stderr, title, progress.total_steps - first_step_, "steps");
    }
    total_steps_ = progress.total_steps;
    note_ = fmt::format("{}, loss {:.4f}", progress.phase, progress.loss);
    if (progress.accuracy) note_ += fmt::format(", accuracy {:.2f} %", *progress.accuracy);
    bar_->update(progress.step - first_step_, note_);
  }
  void count(std::int64_t step) noexcept { last_step_ = step; }
  void finish() {
    if (bar_) bar_->finish(note_);
  }
  [[nodiscard]] std::int64_t last_step() const noexcept { return last_step_; }
  [[nodiscard]] std::int64_t total_steps() const noexcept { return total_steps_; }

 private:
  std::optional<Progress> bar_;
  std::int64_t first_step_ = 0;
  std::int64_t last_step_ = 0;
  std::int64_t total_steps_ = 0;
  std::string note_;
};

std::string resume_command() {
  const std::string& line = command_line();
  return line.find(" --resume") == std::string::npos ? line + " --resume" : line;
}

// The run folder's own file stays what the run reports; scales go into the file beside it.
std::filesystem::path packed_result(const TrainingOptions& options, const Run& run) {
  if (!options.output.empty()) return options.output;
  return run.folder() / (options.calibration ? "model.int8.bw" : "model.bw");
}

void report(const TrainingOptions& options, const Recipe& recipe, const Run& run, const TrainResult& result) {
  const std::filesystem::path packed = packed_result(options, run);
  Model model = result.model;
  if (options.calibration) model = calibrate_on(model, packed.string(), recipe.data.name, *options.calibration, cpu_count());
  if (!options.output.empty() || options.calibration) save_packed(packed, model);
  const ModelFacts facts = measure_model(model, static_cast<std::int64_t>(std::filesystem::file_size(packed)));
  const nlohmann::ordered_json document = {{"accuracy", result.accuracy},    {"correct", result.correct},
                                           {"images", result.images},        {"seconds", result.seconds},
                                           {"file_bytes", facts.file_bytes}, {"bits_per_weight", facts.bits_per_weight},
                                           {"model", packed.string()},       {"run", run.folder().string()}};
  write_result(options.json ? document.dump(2) + "\n"
                            : fmt::format("accuracy {:.2f} % ({} of {}), {} bytes, {:.4f} bits per weight: {}\n", result.accuracy,
                                          result.correct, result.images, facts.file_bytes, facts.bits_per_weight, packed.string()));
}

}  // namespace

void declare_training_options(CLI::App& app, TrainingOptions& options) {
  app.add_option("--run", options.run_folder, "Run folder (default: below runs/)")->type_name("DIR");
  app.add_flag("--resume", options.resume, "Go on from the run folder's newest checkpoint; from the start when it has none");
  app.add_flag("--json", options.json, "Print one JSON document");
}

void run_recipe(const Recipe& recipe, const TrainingOptions& options) {
  if (!options.output.empty()) require_writable(options.output);
  const StopSignal stop;
  RunFolder folder(options.run_folder, to_toml(recipe));
  Run& run = folder.run();
  TrainingBar bar;
  TrainEvents events;
  events.on_progress = [&bar](const TrainProgress& progress) { bar.draw(progress); };
  events.on_step = [&bar](std::int64_t step, double) { bar.count(step); };
  events.stop_requested = stop.requested();
  const TrainResult result = run_training(recipe, run, options.resume ? StartPolicy::resume : StartPolicy::fresh, events);
  folder.keep();
  bar.finish();
  if (!result.completed) {
    throw Interrupted{128 + stop.number(),
                      fmt::format("stopped by {} at step {} of {}, checkpoint written; go on with: {}",
                                  stop.number() == SIGINT ? "SIGINT" : "SIGTERM", bar.last_step(), bar.total_steps(), resume_command())};
  }
  report(options, recipe, run, result);
}

}  // namespace bitwright::apps
