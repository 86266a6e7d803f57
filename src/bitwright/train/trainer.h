// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/data/loader.h"
#include "bitwright/runs/run.h"
#include "bitwright/train/checkpoint.h"
#include "bitwright/train/method.h"
#include "bitwright/train/network.h"
#include "bitwright/train/optimizer.h"
#include "bitwright/train/recipe.h"
#include "bitwright/train/run_training.h"
#include "bitwright/train/schedule.h"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

namespace bitwright {

/// How many images of a set a network classifies rightly.
struct Evaluation {
  std::int64_t correct = 0;
  std::int64_t images = 0;
  [[nodiscard]] double percent() const { return images == 0 ? 0.0 : 100.0 * static_cast<double>(correct) / static_cast<double>(images); }
};

/// Classifies one epoch of the loader in float32. Ties go to the lower class.
[[nodiscard]] Evaluation evaluate(Network& network, Loader& loader);

/// Methods as a recipe lists them, attached to the network in that order.
[[nodiscard]] std::vector<std::unique_ptr<Method>> attach_methods(const Recipe& recipe, Network& network);

/// The one loop: steps, phases, metrics, checkpoints. What a paper adds comes through its methods' hooks; none is known by name here.
class Trainer {
 public:
  /// All referenced objects must outlive the trainer. Throws: `Error(usage)` when more than one method asks for phases.
  Trainer(const Recipe& recipe, Network& network, std::vector<std::unique_ptr<Method>>& methods, Loader& training, Loader& evaluation,
          const Run& run, const TrainEvents& events);

  /// Goes back to the newest good checkpoint; false when there is none.
  bool resume();
  /// Trains to the end (true) or to a requested stop (false); either way the last state is in a checkpoint.
  /// Throws: `Error(numerical)` on a loss or weight that is not finite.
  bool train();

  [[nodiscard]] double seconds() const;
  [[nodiscard]] std::int64_t epochs() const noexcept { return position_.epoch; }

 private:
  /// Where the run stands. Everything in it is saved.
  struct Position {
    std::int64_t phase = 0;
    std::int64_t phase_begun = 0;
    std::int64_t epoch_in_phase = 0;
    std::int64_t batch = 0;  ///< in the epoch
    std::int64_t epoch = 0;  ///< in the run
    std::int64_t step = 0;   ///< in the run
    std::int64_t epoch_images = 0;
    double epoch_loss = 0.0;  ///< sum over the epoch's images so far
    std::int64_t metric_lines = 0;
    double seconds = 0.0;  ///< before this process
  };

  [[nodiscard]] StepContext context();
  [[nodiscard]] std::int64_t total_steps() const;
  [[nodiscard]] std::int64_t schedule_steps(const Phase& phase) const;
  void begin_phase();
  void take_step();
  void end_epoch();
  void save_checkpoint();
  void report_progress(double loss);
  [[noreturn]] void fail_not_finite(const std::string& what, const at::Tensor& images);
  void check_weights_finite();

  const Recipe& recipe_;
  Network& network_;
  std::vector<std::unique_ptr<Method>>& methods_;
  Loader& training_;
  Loader& evaluation_;
  const Run& run_;
  const TrainEvents& events_;
  std::uint64_t fingerprint_;
  Optimizer optimizer_;
  CheckpointFolder checkpoints_;
  std::vector<Phase> phases_;
  std::optional<Schedule> schedule_;
  Position position_;
  std::filesystem::path last_checkpoint_;
  std::optional<double> last_accuracy_;
  double smooth_loss_ = 0.0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point epoch_start_ = start_;
  std::chrono::steady_clock::time_point last_report_ = {};
};

}  // namespace bitwright
