// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/data/image_file.h"
#include "bitwright/model/model_source.h"
#include "bitwright/runtime/session.h"
#include "classifier.h"
#include "commands/commands.h"
#include "common/model_facts.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <memory>
#include <numeric>
#include <vector>

namespace bitwright::apps {
namespace {

struct RunOptions {
  std::string model;
  std::vector<std::string> images;
  int top = 5;
  std::string activations = "float32";
  bool json = false;
};

std::string class_name(const Model& model, std::size_t index) {
  return index < model.class_names.size() ? model.class_names[index] : std::to_string(index);
}

/// Classes by falling probability, equal ones by index.
std::vector<std::size_t> ranking(const std::vector<double>& probability) {
  std::vector<std::size_t> order(probability.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return probability[a] > probability[b]; });
  return order;
}

void run(const RunOptions& options) {
  Session session(open_model(options.model), {.threads = 1, .batch = 1, .activations = parse_activations(options.activations)});
  require_classifier(session, options.model, 1);
  std::vector<float> input(static_cast<std::size_t>(session.input_shape().element_count()));
  std::vector<float> output(static_cast<std::size_t>(session.output_shape().element_count()));
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  std::string text;
  for (const std::string& path : options.images) {
    const Image image = fit_image(read_image(path), session.input_shape());
    transform_image(session.model().input_transform, image.pixels, session.input_shape(), input);
    session.run(input, output);
    const std::vector<double> probability = probabilities(session.model(), output);
    std::vector<std::size_t> order = ranking(probability);
    order.resize(std::min(order.size(), static_cast<std::size_t>(options.top)));
    nlohmann::ordered_json top = nlohmann::ordered_json::array();
    text += path + "\n";
    for (const std::size_t index : order) {
      const std::string name = class_name(session.model(), index);
      top.push_back({{"class", index}, {"name", name}, {"probability", probability[index]}});
      text += fmt::format("  {:8.4f} %  {}\n", 100.0 * probability[index], name);
    }
    results.push_back({{"image", path}, {"top", top}});
  }
  const nlohmann::ordered_json document = {{"model", options.model}, {"images", results}};
  write_result(options.json ? document.dump(2) + "\n" : text);
}

}  // namespace

Action declare_run(CLI::App& app) {
  auto options = std::make_shared<RunOptions>();
  app.add_option("MODEL", options->model, kModelHelp)->required()->type_name("");
  app.add_option("IMAGE", options->images, "PNG, JPEG, PGM or PPM files, scaled to the model's input")->required()->type_name("");
  app.add_option("--top", options->top, "Classes to show (default: 5)")->type_name("N")->check(CLI::Range(1, 100000));
  app.add_option("--activations", options->activations, "float32, bfloat16 or int8 (default: float32)")->type_name("TYPE");
  app.add_flag("--json", options->json, "Print one JSON document");
  return [options] { run(*options); };
}

}  // namespace bitwright::apps
