// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/core/file.h"
#include "bitwright/model/packed_file.h"
#include "commands/commands.h"
#include "common/model_facts.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <memory>

namespace bitwright::apps {
namespace {

struct VerifyOptions {
  std::string model;
  bool json = false;
};

void verify(const VerifyOptions& options) {
  if (!is_packed_source(options.model)) {
    fail(ErrorCode::usage, "{}: nothing to verify (found {}, need a packed file); pack it first with `bitwright export`.", options.model,
         options.model.starts_with("zoo:") ? "a zoo network" : "an ONNX file");
  }
  const MappedFile file(options.model);
  const Model model = unpack_model(file.bytes(), options.model);
  verify_grid(model);
  const ModelFacts facts = measure_model(model, static_cast<std::int64_t>(file.bytes().size()));
  const nlohmann::ordered_json document = {{"model", options.model},
                                           {"ok", true},
                                           {"file_bytes", facts.file_bytes},
                                           {"weights", facts.weights.size()},
                                           {"quantized_weights", facts.quantized_elements}};
  write_result(options.json ? document.dump(2) + "\n"
                            : fmt::format("{}: ok: checksums of {} bytes, {} tensors, {} quantized weights on their grid\n", options.model,
                                          facts.file_bytes, facts.weights.size(), facts.quantized_elements));
}

}  // namespace

Action declare_verify(CLI::App& app) {
  auto options = std::make_shared<VerifyOptions>();
  app.add_option("MODEL", options->model, "Packed file net.bw")->required()->type_name("");
  app.add_flag("--json", options->json, "Print one JSON document");
  return [options] { verify(*options); };
}

}  // namespace bitwright::apps
