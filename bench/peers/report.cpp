// SPDX-License-Identifier: Apache-2.0
#include "bench/peers/report.h"

#include "bitwright/core/error.h"
#include "bitwright/core/file.h"

#include <fmt/format.h>

namespace bitwright {

using Json = nlohmann::ordered_json;

Json find_contender(const Json& peer_case, std::string_view name) {
  for (const Json& contender : peer_case.at("contenders")) {
    if (contender.at("name").get<std::string>() == name) return contender;
  }
  return nullptr;
}

std::string case_table(const Json& peer_case) {
  const Json float_peer = find_contender(peer_case, "onnxruntime/float32");
  std::string table =
      "| | median, ms | fastest, ms | images/s | times faster than ONNX Runtime float32 | largest difference, % "
      "|\n|---|---:|---:|---:|---:|---:|\n";
  for (const Json& contender : peer_case.at("contenders")) {
    const double ms = contender.at("median_ms").get<double>();
    const std::string faster = float_peer.is_null() ? "" : fmt::format("{:.2f}", float_peer.at("median_ms").get<double>() / ms);
    table += fmt::format("| {} | {:.4g} | {:.4g} | {:.0f} | {} | {:.2g} |\n", contender.at("name").get<std::string>(), ms,
                         contender.at("min_ms").get<double>(), 1e3 * peer_case.at("batch").get<double>() / ms, faster,
                         contender.at("difference_percent").get<double>());
  }
  return table;
}

void merge_cases(Json& report, const Json& measured) {
  if (report.contains("cpu") && report.at("cpu") != measured.at("cpu")) {
    fail(ErrorCode::invalid_input, "the report is of another processor (found \"{}\", need \"{}\"); name another file.",
         report.at("cpu").get<std::string>(), measured.at("cpu").get<std::string>());
  }
  report["cpu"] = measured.at("cpu");
  report["cpu_features"] = measured.at("cpu_features");
  for (const auto& [name, peer_case] : measured.at("cases").items()) report["cases"][name] = peer_case;
}

Json read_report(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return Json::object();
  Json report = Json::parse(read_text_file(path), nullptr, false);
  if (report.is_discarded() || !report.is_object()) {
    fail(ErrorCode::corrupt_file, "{}: this is no JSON object; delete the file.", path.string());
  }
  return report;
}

}  // namespace bitwright
