// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/run_training.h"

#include "bitwright/core/cpu.h"
#include "bitwright/core/error.h"
#include "bitwright/data/dataset.h"
#include "bitwright/data/loader.h"
#include "bitwright/model/activation_scales.h"
#include "bitwright/model/model_source.h"
#include "bitwright/model/packed_file.h"
#include "bitwright/train/tensor.h"
#include "bitwright/train/trainer.h"

#include <torch/torch.h>

#include <cstdlib>
#include <numeric>
#include <set>
#include <system_error>

namespace bitwright {
namespace {

constexpr std::int64_t kEvaluationBatch = 250;

/// What a recipe trains on and what it evaluates on.
struct Splits {
  std::shared_ptr<const Dataset> training;
  std::shared_ptr<const Dataset> evaluation;
};

Splits open_splits(const Recipe& recipe) {
  const DataRecipe& data = recipe.data;
  std::shared_ptr<const Dataset> training = open_dataset(data.name, Split::train);
  if (data.train_images > training->size()) {
    fail(ErrorCode::usage, "recipe: data.train_images is more than {} has (found {}, need at most {}); lower it.", data.name,
         data.train_images, training->size());
  }
  if (data.train_images > 0) {
    std::vector<std::int64_t> first(static_cast<std::size_t>(data.train_images));
    std::iota(first.begin(), first.end(), std::int64_t{0});
    training = make_subset(training, std::move(first));
  }
  if (data.hold_out == 0) return {training, open_dataset(data.name, Split::test)};
  if (data.hold_out >= training->size()) {
    fail(ErrorCode::usage, "recipe: data.hold_out leaves nothing to train on (found {}, need less than {}); lower it.", data.hold_out,
         training->size());
  }
  HoldOut parts = hold_out(training->size(), data.hold_out, recipe.train.seed);
  return {make_subset(training, std::move(parts.rest)), make_subset(training, std::move(parts.held_out))};
}

void check_fit(const Recipe& recipe, const Model& model, const Dataset& dataset) {
  if (model.graph.inputs.size() != 1 || model.graph.outputs.size() != 1) {
    fail(ErrorCode::unsupported, "{}: training needs one input and one output (found {} and {}); split the model.", recipe.model.from,
         model.graph.inputs.size(), model.graph.outputs.size());
  }
  const Shape& input = model.graph.inputs[0].shape;
  const Shape image(std::vector<std::int64_t>(input.dims().begin() + 1, input.dims().end()));
  if (image != dataset.image_shape()) {
    fail(ErrorCode::usage, "recipe: {} does not fit the images of {} (found {}, need {}); choose another model or data set.",
         recipe.model.from, recipe.data.name, image.to_string(), dataset.image_shape().to_string());
  }
  const Shape output = infer_shapes(model.graph, weight_shapes(model), 1).at(model.graph.outputs[0]);
  const auto classes = static_cast<std::int64_t>(dataset.class_names().size());
  if (output.rank() != 2 || output[1] < classes) {
    fail(ErrorCode::usage, "recipe: {} has no output for every class of {} (found {}, need [1, {}]); choose another model or data set.",
         recipe.model.from, recipe.data.name, output.to_string(), classes);
  }
}

LoaderOptions loader_options(const Recipe& recipe, const InputTransform& transform) {
  LoaderOptions options;
  options.batch = recipe.train.batch;
  options.seed = recipe.train.seed;
  options.workers = recipe.train.workers;
  options.augmentation = {
      .pad_crop = recipe.data.pad_crop, .flip_probability = recipe.data.flip ? 0.5 : 0.0, .random_crop = recipe.data.random_crop};
  options.mean = transform.mean;
  options.std = transform.std;
  return options;
}

LoaderOptions evaluation_options(const Recipe& recipe, const InputTransform& transform) {
  LoaderOptions options = loader_options(recipe, transform);
  options.batch = kEvaluationBatch;
  options.augmentation = {};
  options.order = LoaderOptions::Order::as_stored;
  return options;
}

void require_unused(const Run& run) {
  std::error_code error;
  const bool has_result = std::filesystem::exists(run.folder() / "model.bw", error);
  if (has_result || CheckpointFolder(run.checkpoint_folder()).has_files()) {
    fail(ErrorCode::usage, "{}: the folder holds a run already; continue it with `--resume`, or name another folder with `--run`.",
         run.folder().string());
  }
}

std::string method_names(const Recipe& recipe) {
  std::string names;
  for (const MethodRecipe& method : recipe.methods) names += (names.empty() ? "" : "+") + method.name;
  return names.empty() ? "float" : names;
}

/// Formats of the weights that methods may quantize, e.g. `pow2:5`; `float32` for those that stayed float.
std::string format_names(const Model& model) {
  std::set<std::string> specs;
  for (const std::string& name : quantizable_weights(model.graph)) {
    const auto* codes = std::get_if<QuantizedTensor>(&model.weights.at(name));
    specs.insert(codes != nullptr ? codes->format().spec() : "float32");
  }
  return fmt::format("{}", fmt::join(specs, "+"));
}

Model frozen_model(const Recipe& recipe, const Network& network, const std::vector<std::unique_ptr<Method>>& methods) {
  Model model = network.to_model([&methods](std::string_view weight) -> std::optional<QuantizedTensor> {
    for (const auto& method : methods) {
      if (std::optional<QuantizedTensor> codes = method->freeze(weight)) return codes;
    }
    return std::nullopt;
  });
  for (const auto& method : methods) method->complete(model);
  model.notes["method"] = method_names(recipe);
  model.notes["recipe"] = fmt::format("{:016x}", recipe_fingerprint(recipe));
  model.notes["seed"] = fmt::format("{}", recipe.train.seed);
  return model;
}

void write_environment(const Recipe& recipe, const Run& run, int threads) {
  Metrics facts = environment_facts(threads);
  facts["libtorch"] = std::string(TORCH_VERSION);
  facts["device"] = std::string(recipe.train.device == DeviceKind::cpu ? "cpu" : "cuda");
  const bool on_cpu = recipe.train.device == DeviceKind::cpu;
  const Precision precision = usable_precision(recipe.train.precision, on_cpu ? at::kCPU : at::kCUDA);
  // On a GPU LibTorch lets cuDNN multiply float32 with 10 bits of significand; sums and everything else are float32.
  facts["precision"] = std::string(precision == Precision::bfloat16 ? "bfloat16" : on_cpu ? "float32" : "float32, convolutions in TF32");
  run.write_environment(facts);
}

/// Throws: `Error(unsupported)` when this LibTorch or machine has no such device.
at::Device open_device(const Recipe& recipe) {
  if (recipe.train.device == DeviceKind::cpu) return at::kCPU;
  // cuBLAS is deterministic only with a workspace of fixed size, and reads this when its first handle is made.
  ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  if (!at::hasCUDA()) {
    fail(ErrorCode::unsupported, "recipe: train.device is \"cuda\", but this LibTorch was built without CUDA or finds no GPU; {}",
         "set train.device = \"cpu\", or build against a LibTorch with CUDA (CMAKE_PREFIX_PATH).");
  }
  at::globalContext().setDeterministicCuDNN(true);
  at::globalContext().setBenchmarkCuDNN(false);
  return at::kCUDA;
}

TrainResult train_recipe(const Recipe& recipe, Run& run, StartPolicy start, const TrainEvents& events) {
  if (start == StartPolicy::fresh) require_unused(run);
  const int threads = recipe.train.threads > 0 ? recipe.train.threads : cpu_count();
  at::set_num_threads(threads);
  // A GPU has no deterministic form of some operators (the gradient of MaxPool among them): there the promise of equal bits is the CPU's.
  at::globalContext().setDeterministicAlgorithms(/*b=*/true, /*warn_only=*/recipe.train.device != DeviceKind::cpu);

  Model model = open_model(recipe.model.from, recipe.train.seed);
  validate(model);
  model.graph = without_activation_scales(std::move(model.graph));
  const Splits splits = open_splits(recipe);
  check_fit(recipe, model, *splits.training);
  const at::Device device = open_device(recipe);
  Network network(std::move(model),
                  {.precision = usable_precision(recipe.train.precision, device), .seed = recipe.train.seed, .device = device});
  std::vector<std::unique_ptr<Method>> methods = attach_methods(recipe, network);
  Loader training(splits.training, loader_options(recipe, network.input_transform()));
  Loader evaluation(splits.evaluation, evaluation_options(recipe, network.input_transform()));
  Trainer trainer(recipe, network, methods, training, evaluation, run, events);
  write_environment(recipe, run, threads);
  if (start == StartPolicy::fresh || !trainer.resume()) run.truncate_metrics(0);

  TrainResult result;
  result.completed = trainer.train();
  result.model = frozen_model(recipe, network, methods);
  result.seconds = trainer.seconds();
  if (!result.completed) return result;

  // Measured on what the file holds, not on what training held.
  Network frozen(result.model);
  const Evaluation accuracy = evaluate(frozen, evaluation);
  result.accuracy = accuracy.percent();
  result.correct = accuracy.correct;
  result.images = accuracy.images;
  result.seconds = trainer.seconds();
  const std::filesystem::path packed = run.folder() / "model.bw";
  save_packed(packed, result.model);
  run.write_summary({{"accuracy", result.accuracy},
                     {"correct", result.correct},
                     {"images", result.images},
                     {"evaluated_on", std::string(recipe.data.hold_out > 0 ? "held-out training images" : "test split")},
                     {"method", method_names(recipe)},
                     {"format", format_names(result.model)},
                     {"file_bytes", static_cast<std::int64_t>(std::filesystem::file_size(packed))},
                     {"seconds", result.seconds},
                     {"seed", static_cast<std::int64_t>(recipe.train.seed)},
                     {"epochs", trainer.epochs()}});
  return result;
}

}  // namespace

TrainResult run_training(const Recipe& recipe, Run& run, StartPolicy start, const TrainEvents& events) {
  TrainResult result;
  translate_torch_errors("train", [&] { result = train_recipe(recipe, run, start, events); });
  return result;
}

}  // namespace bitwright
