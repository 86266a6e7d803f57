// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/model/model_source.h"
#include "bitwright/model/packed_file.h"
#include "bitwright/model/safetensors.h"
#include "commands/commands.h"
#include "common/model_facts.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>

namespace bitwright::apps {
namespace {

struct ExportOptions {
  std::string model;
  std::string output;
};

void export_model(const ExportOptions& options) {
  const std::filesystem::path output(options.output);
  const std::filesystem::path ending = output.extension();
  if (ending != ".safetensors" && ending != ".bw") {
    fail(ErrorCode::usage, "{}: cannot export to this kind of file (found ending \"{}\", need .safetensors or .bw); choose another name.",
         options.output, ending.string());
  }
  const Model model = open_model(options.model);
  if (ending == ".bw") {
    save_packed(output, model);
  } else {
    write_safetensors(output, model);
  }
  write_result(fmt::format("{}: {} bytes\n", options.output, std::filesystem::file_size(output)));
}

}  // namespace

Action declare_export(CLI::App& app) {
  auto options = std::make_shared<ExportOptions>();
  app.add_option("MODEL", options->model, kModelHelp)->required()->type_name("");
  app.add_option("-o,--output", options->output, "out.safetensors (weights as float32) or out.bw (packed)")->required()->type_name("FILE");
  return [options] { export_model(*options); };
}

}  // namespace bitwright::apps
