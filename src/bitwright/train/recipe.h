// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace bitwright {

/// A value in a recipe's `[[method]]` table.
using RecipeValue = std::variant<bool, std::int64_t, double, std::string, std::vector<double>, std::vector<std::string>>;

/// One `[[method]]` table: its name and what else it says; the method itself knows its keys.
struct MethodRecipe {
  std::string name;
  std::map<std::string, RecipeValue, std::less<>> options;
  friend bool operator==(const MethodRecipe&, const MethodRecipe&) = default;
};

struct ModelRecipe {
  std::string from;  ///< MODEL: `net.bw`, `zoo:NAME`, `zoo:NAME@weights.safetensors`
  friend bool operator==(const ModelRecipe&, const ModelRecipe&) = default;
};

struct DataRecipe {
  std::string name;
  std::int64_t hold_out = 0;      ///< training images kept apart and evaluated on instead of the test split; 0 = none
  std::int64_t train_images = 0;  ///< use only the first N training images; 0 = all
  int pad_crop = 0;
  bool flip = false;
  double random_crop = 0.0;  ///< least share of the area of a random resized crop; 0 = none
  friend bool operator==(const DataRecipe&, const DataRecipe&) = default;
};

enum class OptimizerKind { sgd, adam };
enum class ScheduleKind { constant, step, cosine, plateau, exponential };
enum class Precision { float32, bfloat16 };
enum class DeviceKind { cpu, cuda };

struct TrainRecipe {
  std::int64_t epochs = 1;
  std::int64_t batch = 64;
  double lr = 0.01;
  std::uint64_t seed = 1;
  OptimizerKind optimizer = OptimizerKind::sgd;
  double momentum = 0.9;  ///< SGD; Adam: beta1
  bool nesterov = false;
  double weight_decay = 0.0;       ///< on weights of Conv and Gemm
  double bias_weight_decay = 0.0;  ///< on biases and batch-norm affine
  ScheduleKind schedule = ScheduleKind::constant;
  std::vector<double> milestones = {0.5, 0.75};  ///< `step`: fractions of a phase after which lr is multiplied by `gamma`
  double gamma = 0.1;                            ///< `step`, `plateau` and `exponential`
  std::int64_t patience = 2;                     ///< `plateau`: epochs without a lower training loss
  std::int64_t warmup_steps = 0;                 ///< linear ramp at the start of each phase
  Precision precision = Precision::float32;      ///< of forward and backward in training; evaluation and all decisions are float32
  DeviceKind device = DeviceKind::cpu;           ///< where training runs; the final accuracy is always measured on the CPU
  int threads = 0;                               ///< 0 = all processors
  int workers = 1;                               ///< loader threads
  std::int64_t checkpoint_every = 0;             ///< steps between checkpoints; 0 = at each epoch's end only
  std::int64_t evaluate_every = 1;               ///< epochs between evaluations; 0 = after the last epoch only
  friend bool operator==(const TrainRecipe&, const TrainRecipe&) = default;
};

/// The TOML file that states a run completely.
struct Recipe {
  ModelRecipe model;
  DataRecipe data;
  TrainRecipe train;
  std::vector<MethodRecipe> methods;
  friend bool operator==(const Recipe&, const Recipe&) = default;
};

/// Parses and checks a recipe.
/// Throws: `Error(usage)`: syntax (with line), unknown key (names the nearest known key), wrong type, value out of range.
[[nodiscard]] Recipe parse_recipe(std::string_view toml, const std::string& source);
/// Applies `key.path=value` settings (e.g. `train.lr=0.1`, `method.0.bits=3`) to a recipe's text before it is parsed.
/// Throws: as `parse_recipe`; `Error(io)`; `Error(usage)` on a setting that is no `key.path=value` or leads nowhere.
[[nodiscard]] Recipe load_recipe(const std::filesystem::path& path, const std::vector<std::string>& settings);
/// Applies settings to a recipe. Throws: as `load_recipe`.
[[nodiscard]] Recipe apply_settings(const Recipe& recipe, const std::vector<std::string>& settings);
/// The recipe as TOML with every default filled in. Ensures: parse_recipe(to_toml(r)) == r in every field.
[[nodiscard]] std::string to_toml(const Recipe& recipe);
/// XXH3-64 of what decides a run's numbers: the complete recipe without `checkpoint_every` and `workers`.
[[nodiscard]] std::uint64_t recipe_fingerprint(const Recipe& recipe);

}  // namespace bitwright
