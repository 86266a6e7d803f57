// SPDX-License-Identifier: Apache-2.0
#include "bitwright/onnx/import.h"

#include "bitwright/core/error.h"
#include "bitwright/model/packed_file.h"
#include "bitwright/model/zoo.h"
#include "commands/commands.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>

namespace bitwright::apps {
namespace {

struct ImportOptions {
  std::string file;
  std::string output;
};

void import_model(const ImportOptions& options) {
  const std::filesystem::path output(options.output);
  if (output.extension() != ".bw") {
    fail(ErrorCode::usage, "{}: cannot import into this kind of file (found ending \"{}\", need .bw); choose another name.", options.output,
         output.extension().string());
  }
  const Imported imported = import_onnx(std::filesystem::path(options.file));
  save_packed(output, imported.model);
  std::string text = fmt::format("{}: {} bytes, {} nodes, {} parameters\n", options.output, std::filesystem::file_size(output),
                                 imported.model.graph.nodes.size(), parameter_count(imported.model));
  for (const std::string& remark : imported.remarks) text += fmt::format("remark: {}\n", remark);
  write_result(text);
}

}  // namespace

Action declare_import(CLI::App& app) {
  auto options = std::make_shared<ImportOptions>();
  app.add_option("FILE", options->file, "ONNX file net.onnx")->required()->type_name("");
  app.add_option("-o,--output", options->output, "out.bw (packed)")->required()->type_name("FILE");
  return [options] { import_model(*options); };
}

}  // namespace bitwright::apps
