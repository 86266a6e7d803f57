// SPDX-License-Identifier: Apache-2.0
#include "common/model_facts.h"

#include "bitwright/core/error.h"
#include "bitwright/formats/size.h"
#include "bitwright/model/packed_file.h"
#include "bitwright/model/zoo.h"

#include <filesystem>
#include <system_error>

namespace bitwright::apps {
namespace {

WeightFacts measure_weight(const std::string& name, const Weight& weight) {
  WeightFacts facts;
  facts.name = name;
  facts.shape = weight_shape(weight);
  facts.elements = facts.shape.element_count();
  if (const auto* quantized = std::get_if<QuantizedTensor>(&weight)) {
    facts.format = quantized->format().spec();
    facts.code_bytes = quantized->code_size_bits() / 8;
    facts.parameter_bytes = quantized->parameter_size_bits() / 8;
    facts.entropy_bits_per_code = entropy_bits_per_code(quantized->codes());
    facts.huffman_bits = huffman_size_bits(quantized->codes(), quantized->format().code_count());
  } else {
    facts.format = "float32";
    facts.code_bytes = facts.elements * 4;
  }
  return facts;
}

}  // namespace

ModelFacts measure_model(const Model& model, std::int64_t file_bytes) {
  ModelFacts facts;
  facts.parameters = parameter_count(model);
  facts.file_bytes = file_bytes;
  facts.overhead_bytes = file_bytes;
  double quantized_bits = 0.0;
  double entropy_bits = 0.0;
  double entropy_saving = 0.0;
  double huffman_saving = 0.0;
  for (const auto& [name, weight] : model.weights) {
    WeightFacts one = measure_weight(name, weight);
    facts.elements += one.elements;
    facts.overhead_bytes -= one.code_bytes + one.parameter_bytes;
    if (one.entropy_bits_per_code) {
      const double bits = *one.entropy_bits_per_code * static_cast<double>(one.elements);
      facts.quantized_elements += one.elements;
      quantized_bits += 8.0 * static_cast<double>(one.code_bytes + one.parameter_bytes);
      entropy_bits += bits;
      entropy_saving += static_cast<double>(one.code_bytes) - bits / 8.0;
      huffman_saving += static_cast<double>(one.code_bytes) - static_cast<double>(*one.huffman_bits) / 8.0;
    }
    facts.weights.push_back(std::move(one));
  }
  facts.float_bytes = 4 * facts.elements;
  const auto quantized_elements = static_cast<double>(facts.quantized_elements);
  facts.bits_per_weight = facts.quantized_elements == 0 ? 32.0 : quantized_bits / quantized_elements;
  facts.entropy_bits_per_weight = facts.quantized_elements == 0 ? 0.0 : entropy_bits / quantized_elements;
  facts.bits_per_weight_overall = facts.elements == 0 ? 0.0 : 8.0 * static_cast<double>(file_bytes) / static_cast<double>(facts.elements);
  facts.entropy_bound_bytes = static_cast<double>(file_bytes) - entropy_saving;
  facts.huffman_bytes = static_cast<double>(file_bytes) - huffman_saving;
  return facts;
}

void require_fit(std::string_view source, const Shape& input, std::string_view data_name, const Shape& image_shape) {
  if (input == image_shape) return;
  fail(ErrorCode::usage, "{}: the model does not fit the images of {} (found input {}, need {}); choose a model or data set that fits.",
       source, data_name, input.to_string(), image_shape.to_string());
}

bool is_packed_source(std::string_view source) { return !source.starts_with("zoo:") && !source.ends_with(".onnx"); }

std::int64_t packed_file_bytes(std::string_view source, const Model& model) {
  if (!is_packed_source(source)) return static_cast<std::int64_t>(pack_model(model).size());
  std::error_code error;
  const std::uintmax_t bytes = std::filesystem::file_size(std::filesystem::path(source), error);
  if (error) fail(ErrorCode::io, "{}: cannot read the file's size ({}); check the path.", source, error.message());
  return static_cast<std::int64_t>(bytes);
}

}  // namespace bitwright::apps
