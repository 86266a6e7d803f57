// SPDX-License-Identifier: Apache-2.0
#include "bitwright/onnx/export.h"
#include "bitwright/core/error.h"
#include "bitwright/core/file.h"
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
  std::string form;
  bool allows_loss = false;
};

void export_model(const ExportOptions& options) {
  const std::filesystem::path output(options.output);
  const std::filesystem::path ending = output.extension();
  if (ending != ".safetensors" && ending != ".bw" && ending != ".onnx") {
    fail(ErrorCode::usage, "{}: cannot export to this kind of file (found ending \"{}\", need .safetensors, .bw or .onnx); {}",
         options.output, ending.string(), "choose another name.");
  }
  if (ending != ".onnx" && (!options.form.empty() || options.allows_loss)) {
    fail(ErrorCode::usage, "{}: --form and --allow-loss are for ONNX files (found ending \"{}\", need .onnx); leave them out.",
         options.output, ending.string());
  }
  const OnnxForm form = parse_onnx_form(options.form.empty() ? onnx_form_name(OnnxForm::float32) : std::string_view(options.form));
  const Model model = open_model(options.model);
  std::string loss;
  if (ending == ".bw") {
    save_packed(output, model);
  } else if (ending == ".onnx") {
    const OnnxExport exported = export_onnx(model, form, options.allows_loss ? LossPolicy::allow : LossPolicy::refuse);
    write_file_atomic(output, exported.file);
    loss = fmt::format("; the {} form loses {}", onnx_form_name(form), exported.loss_text());
  } else {
    write_safetensors(output, model);
  }
  write_result(fmt::format("{}: {} bytes{}\n", options.output, std::filesystem::file_size(output), loss));
}

}  // namespace

Action declare_export(CLI::App& app) {
  auto options = std::make_shared<ExportOptions>();
  app.add_option("MODEL", options->model, kModelHelp)->required()->type_name("");
  app.add_option("-o,--output", options->output, "out.onnx, out.safetensors (weights as float32) or out.bw (packed)")
      ->required()
      ->type_name("FILE");
  app.add_option("--form", options->form, "ONNX: float, qdq (integers with scales) or codebook (packed codes); default: float")
      ->type_name("FORM");
  app.add_flag("--allow-loss", options->allows_loss, "ONNX: write the file even if it loses more than rounding");
  return [options] { export_model(*options); };
}

}  // namespace bitwright::apps
