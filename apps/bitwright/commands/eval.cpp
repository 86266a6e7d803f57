// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/cpu.h"
#include "bitwright/core/error.h"
#include "bitwright/core/file.h"
#include "bitwright/core/progress.h"
#include "bitwright/data/dataset.h"
#include "bitwright/model/model_source.h"
#include "bitwright/runtime/session.h"
#include "classifier.h"
#include "commands/commands.h"
#include "common/model_facts.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <vector>

namespace bitwright::apps {
namespace {

struct EvalOptions {
  std::string model;
  std::string data;
  std::string split = "test";
  std::string predictions;
  int threads = 0;
  std::int64_t batch = 100;
  std::string activations = "float32";
  bool json = false;
};

struct Evaluation {
  std::vector<std::int64_t> predictions;
  std::int64_t correct = 0;
  double seconds = 0.0;
};

Evaluation evaluate(Session& session, const Dataset& dataset, std::int64_t batch, std::string_view data_name) {
  const auto image_size = static_cast<std::size_t>(session.input_shape().element_count());
  const auto classes = static_cast<std::size_t>(session.output_shape().element_count());
  std::vector<std::uint8_t> pixels(image_size);
  std::vector<float> input(image_size * static_cast<std::size_t>(batch));
  std::vector<float> output(classes * static_cast<std::size_t>(batch));
  std::vector<int> labels(static_cast<std::size_t>(batch));
  Evaluation result;
  Progress progress(stderr, fmt::format("eval {}", data_name), dataset.size(), "images");
  const auto start = std::chrono::steady_clock::now();
  for (std::int64_t first = 0; first < dataset.size(); first += batch) {
    const auto count = static_cast<std::size_t>(std::min(batch, dataset.size() - first));
    if (session.batch() != static_cast<std::int64_t>(count)) session.prepare(static_cast<std::int64_t>(count));
    for (std::size_t i = 0; i < count; ++i) {
      labels[i] = dataset.read(first + static_cast<std::int64_t>(i), pixels);
      transform_image(session.model().input_transform, pixels, session.input_shape(), std::span(input).subspan(i * image_size, image_size));
    }
    session.run(std::span(input).first(count * image_size), std::span(output).first(count * classes));
    for (std::size_t i = 0; i < count; ++i) {
      const std::int64_t prediction = arg_max(std::span(output).subspan(i * classes, classes));
      result.predictions.push_back(prediction);
      if (prediction == labels[i]) ++result.correct;
    }
    const auto done = static_cast<std::int64_t>(result.predictions.size());
    progress.update(done, fmt::format("accuracy {:.2f} %", 100.0 * static_cast<double>(result.correct) / static_cast<double>(done)));
  }
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  progress.finish("");
  return result;
}

void eval(const EvalOptions& options) {
  const Split split = parse_split(options.split);
  const Activations activations = parse_activations(options.activations);
  Model model = open_model(options.model);
  const std::unique_ptr<Dataset> dataset = open_dataset(options.data, split);
  const int threads = options.threads > 0 ? options.threads : cpu_count();
  const std::int64_t batch = std::min(options.batch, dataset->size());
  Session session(std::move(model), {.threads = threads, .batch = batch, .activations = activations});
  require_fit(options.model, session.input_shape(), fmt::format("data set \"{}\"", options.data), dataset->image_shape());
  require_classifier(session, options.model, dataset->class_names().size());
  const Evaluation result = evaluate(session, *dataset, batch, options.data);

  const auto images = static_cast<std::int64_t>(result.predictions.size());
  const double accuracy = 100.0 * static_cast<double>(result.correct) / static_cast<double>(images);
  if (!options.predictions.empty()) {
    std::string lines;
    for (const std::int64_t prediction : result.predictions) lines += fmt::format("{}\n", prediction);
    write_file_atomic(options.predictions, lines);
  }
  const nlohmann::ordered_json document = {
      {"model", options.model},    {"data", options.data},      {"split", options.split},
      {"accuracy", accuracy},      {"correct", result.correct}, {"images", images},
      {"seconds", result.seconds}, {"threads", threads},        {"activations", activations_name(activations)}};
  write_result(options.json ? document.dump(2) + "\n"
                            : fmt::format("{}: {:.2f} % of {} {} images right ({} of {}), {:.2f} s\n", options.model, accuracy,
                                          options.data, options.split, result.correct, images, result.seconds));
}

}  // namespace

Action declare_eval(CLI::App& app) {
  auto options = std::make_shared<EvalOptions>();
  app.add_option("MODEL", options->model, kModelHelp)->required()->type_name("");
  app.add_option("--data", options->data, "Data set, as in `bitwright data list`")->required()->type_name("NAME");
  app.add_option("--split", options->split, "train or test (default: test)")->type_name("SPLIT");
  app.add_option("--threads", options->threads, "Threads to use (default: all processors)")->type_name("N")->check(CLI::Range(1, 1024));
  app.add_option("--batch", options->batch, "Images at a time (default: 100)")->type_name("N")->check(CLI::Range(1, 65536));
  app.add_option("--activations", options->activations, "float32, bfloat16 or int8 (default: float32)")->type_name("TYPE");
  app.add_option("--predictions", options->predictions, "Write the predicted class of each image, one a line")->type_name("FILE");
  app.add_flag("--json", options->json, "Print one JSON document");
  return [options] { eval(*options); };
}

}  // namespace bitwright::apps
