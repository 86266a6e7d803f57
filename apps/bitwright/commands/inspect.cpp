// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/activation_scales.h"
#include "bitwright/model/fixed_point_model.h"
#include "bitwright/model/model_source.h"
#include "bitwright/runtime/session.h"
#include "commands/commands.h"
#include "common/model_facts.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <memory>

namespace bitwright::apps {
namespace {

using Json = nlohmann::ordered_json;

struct InspectOptions {
  std::string model;
  std::string activations = "float32";
  bool json = false;
};

double mean_bits(const WeightFacts& weight) {
  return weight.elements == 0
             ? 0.0
             : 8.0 * static_cast<double>(weight.code_bytes + weight.parameter_bytes) / static_cast<double>(weight.elements);
}

Json to_json(const WeightFacts& weight) {
  Json object = {{"name", weight.name},
                 {"shape", weight.shape.dims()},
                 {"format", weight.format},
                 {"elements", weight.elements},
                 {"code_bytes", weight.code_bytes},
                 {"parameter_bytes", weight.parameter_bytes},
                 {"bits_per_weight", mean_bits(weight)}};
  if (weight.entropy_bits_per_code) {
    object["entropy_bits_per_code"] = *weight.entropy_bits_per_code;
    object["huffman_bits"] = *weight.huffman_bits;
  }
  return object;
}

// Formats of the codes that a product of a fixed-point model takes and gives.
std::string formats_of(const Node& node) {
  const std::string input = node.string_attribute(kInputFormatAttribute, "");
  return input.empty() ? "" : fmt::format("  {} -> {}", input, node.string_attribute(kOutputFormatAttribute, ""));
}

Json scales_of(const Model& model) {
  Json scales = Json::object();
  for (const auto& [value, scale] : activation_scales(model.graph)) scales[value] = scale;
  return scales;
}

Json kernels_of(const Session& session) {
  Json kernels = Json::array();
  for (const NodeReport& node : session.describe())
    kernels.push_back({{"node", node.node}, {"kernel", node.kernel}, {"type", value_type_name(node.type)}});
  return kernels;
}

Json to_json(const std::string& source, const Session& session, const ModelFacts& facts, const ShapeMap& shapes) {
  const Model& model = session.model();
  Json layers = Json::array();
  for (const Node& node : model.graph.nodes) {
    Json weights = Json::array();
    for (const std::string& input : node.inputs) {
      if (model.weights.contains(input)) weights.push_back(input);
    }
    layers.push_back({{"node", node.name},
                      {"op", op_entry(node.op).name},
                      {"output_shape", shapes.at(node.outputs.front()).dims()},
                      {"weights", weights}});
    for (const std::string_view key : {kInputFormatAttribute, kOutputFormatAttribute}) {
      const std::string format = node.string_attribute(key, "");
      if (!format.empty()) layers.back()[std::string(key)] = format;
    }
  }
  Json weights = Json::array();
  for (const WeightFacts& weight : facts.weights) weights.push_back(to_json(weight));
  Json notes = Json::object();
  for (const auto& [key, value] : model.notes) notes[key] = value;
  return {{"model", source},
          {"name", model.graph.name},
          {"input_shape", session.input_shape().dims()},
          {"output_shape", session.output_shape().dims()},
          {"parameters", facts.parameters},
          {"quantized_weights", facts.quantized_elements},
          {"file_bytes", facts.file_bytes},
          {"overhead_bytes", facts.overhead_bytes},
          {"float_bytes", facts.float_bytes},
          {"bits_per_weight", facts.bits_per_weight},
          {"bits_per_weight_overall", facts.bits_per_weight_overall},
          {"entropy_bits_per_weight", facts.entropy_bits_per_weight},
          {"entropy_bound_bytes", facts.entropy_bound_bytes},
          {"huffman_bytes", facts.huffman_bytes},
          {"arena_bytes", session.arena_bytes()},
          {"activations", activations_name(session.activations())},
          {"scales", scales_of(model)},
          {"kernels", kernels_of(session)},
          {"notes", notes},
          {"layers", layers},
          {"weights", weights}};
}

std::string to_text(const std::string& source, const Session& session, const ModelFacts& facts, const ShapeMap& shapes) {
  const Model& model = session.model();
  std::string text = fmt::format("{} ({}): input {}, output {}\n\n", source, model.graph.name, session.input_shape().to_string(),
                                 session.output_shape().to_string());
  text += fmt::format("{:<24} {:<20} {}\n", "layer", "operator", "output");
  for (const Node& node : model.graph.nodes) {
    text += fmt::format("{:<24} {:<20} {}{}\n", node.name, op_entry(node.op).name, shapes.at(node.outputs.front()).to_string(),
                        formats_of(node));
  }
  text +=
      fmt::format("\n{:<24} {:<18} {:<14} {:>11} {:>8} {:>8} {:>8}\n", "weight", "shape", "format", "bytes", "bits", "entropy", "Huffman");
  for (const WeightFacts& weight : facts.weights) {
    std::string entropy = "-";
    std::string huffman = "-";
    if (weight.entropy_bits_per_code) {
      entropy = fmt::format("{:.3f}", *weight.entropy_bits_per_code);
      huffman = fmt::format("{:.3f}",
                            static_cast<double>(*weight.huffman_bits) / static_cast<double>(std::max<std::int64_t>(weight.elements, 1)));
    }
    text += fmt::format("{:<24} {:<18} {:<14} {:>11} {:>8.3f} {:>8} {:>8}\n", weight.name, weight.shape.to_string(), weight.format,
                        weight.code_bytes + weight.parameter_bytes, mean_bits(weight), entropy, huffman);
  }
  text += fmt::format("\nparameters      {} ({} quantized)\n", facts.parameters, facts.quantized_elements);
  text += fmt::format("file            {} bytes ({} of them graph, names, checksums), {:.2f} times smaller than float\n", facts.file_bytes,
                      facts.overhead_bytes, static_cast<double>(facts.float_bytes) / static_cast<double>(facts.file_bytes));
  text += fmt::format("bits per weight {:.4f} over quantized weights, {:.4f} for the whole file\n", facts.bits_per_weight,
                      facts.bits_per_weight_overall);
  text += fmt::format("entropy bound   {:.0f} bytes ({:.4f} bits per quantized weight)\n", std::ceil(facts.entropy_bound_bytes),
                      facts.entropy_bits_per_weight);
  text += fmt::format("Huffman coded   {:.0f} bytes\n", std::ceil(facts.huffman_bytes));
  text += fmt::format("arena           {} bytes for one image, {} activations\n", session.arena_bytes(),
                      activations_name(session.activations()));
  if (const std::size_t scales = activation_scales(model.graph).size(); scales > 0)
    text += fmt::format("calibrated      {} values\n", scales);
  for (const auto& [key, value] : model.notes) text += fmt::format("note            {} = {}\n", key, value);
  return text;
}

void inspect(const InspectOptions& options) {
  const Model model = open_model(options.model);
  const ModelFacts facts = measure_model(model, packed_file_bytes(options.model, model));
  const ShapeMap shapes = infer_shapes(model.graph, weight_shapes(model), 1);
  const Session session(model, {.threads = 1, .batch = 1, .activations = parse_activations(options.activations)});
  write_result(options.json ? to_json(options.model, session, facts, shapes).dump(2) + "\n"
                            : to_text(options.model, session, facts, shapes));
}

}  // namespace

Action declare_inspect(CLI::App& app) {
  auto options = std::make_shared<InspectOptions>();
  app.add_option("MODEL", options->model, kModelHelp)->required()->type_name("");
  app.add_option("--activations", options->activations, "float32, bfloat16 or int8: whose arena and kernels (default: float32)")
      ->type_name("TYPE");
  app.add_flag("--json", options->json, "Print one JSON document");
  return [options] { inspect(*options); };
}

}  // namespace bitwright::apps
