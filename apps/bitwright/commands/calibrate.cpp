// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/cpu.h"
#include "bitwright/model/activation_scales.h"
#include "bitwright/model/model_source.h"
#include "bitwright/model/packed_file.h"
#include "commands/commands.h"
#include "common/calibration_arguments.h"
#include "common/model_facts.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <memory>

namespace bitwright::apps {
namespace {

struct CalibrateOptions {
  std::string model;
  std::string data;
  std::string output;
  CalibrationArguments calibration;
  int threads = 0;
  bool json = false;
};

void calibrate(const CalibrateOptions& options) {
  const int threads = options.threads > 0 ? options.threads : cpu_count();
  const Model model = calibrate_on(open_model(options.model), options.model, options.data, options.calibration, threads);
  save_packed(options.output, model);
  const ActivationScales scales = activation_scales(model.graph);
  nlohmann::ordered_json values = nlohmann::ordered_json::object();
  for (const auto& [name, scale] : scales) values[name] = scale;
  const auto bytes = static_cast<std::int64_t>(std::filesystem::file_size(options.output));
  const nlohmann::ordered_json document = {{"model", options.output},
                                           {"from", options.model},
                                           {"data", options.data},
                                           {"rule", options.calibration.rule},
                                           {"images", options.calibration.images},
                                           {"file_bytes", bytes},
                                           {"scales", values}};
  write_result(options.json ? document.dump(2) + "\n"
                            : fmt::format("{}: scales of {} values from {} images of {} ({}), {} bytes\n", options.output, scales.size(),
                                          options.calibration.images, options.data, options.calibration.rule, bytes));
}

}  // namespace

Action declare_calibrate(CLI::App& app) {
  auto options = std::make_shared<CalibrateOptions>();
  app.add_option("MODEL", options->model, kModelHelp)->required()->type_name("");
  app.add_option("--data", options->data, "Data set whose training images are looked at")->required()->type_name("NAME");
  app.add_option("-o,--output", options->output, "Packed file to write")->required()->type_name("FILE");
  app.add_option("--images", options->calibration.images, "Images, spread over the training split (default: 512)")
      ->type_name("N")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--rule", options->calibration.rule, "minmax, percentile or mse (default: mse)")->type_name("RULE");
  app.add_option("--threads", options->threads, "Threads to use (default: all processors)")->type_name("N")->check(CLI::Range(1, 1024));
  app.add_flag("--json", options->json, "Print one JSON document");
  return [options] { calibrate(*options); };
}

}  // namespace bitwright::apps
