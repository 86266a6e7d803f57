// SPDX-License-Identifier: Apache-2.0
// ONNX's own test cases (Debian's libonnx-testdata): every case of operators that are registered runs and gives the expected output, or
// stands with its reason in docs/onnx.md. BITWRIGHT_UPDATE_DOCS=1 writes that list anew.
#include "bitwright/core/file.h"
#include "bitwright/onnx/import.h"
#include "bitwright/onnx/importer.h"
#include "bitwright/onnx/tensor_bytes.h"
#include "bitwright/runtime/reference.h"
#include "bitwright/runtime/session.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <set>
#include <variant>

namespace bitwright {
namespace {

namespace fs = std::filesystem;

const fs::path kCases = "/usr/share/libonnx-testdata/data";

struct Passed {
  std::set<std::string> operators;
};
struct Skipped {
  std::string reason;
};
struct Failed {
  std::string what;
};
struct OtherOperators {};  ///< a case of operators that are not registered
using Outcome = std::variant<Passed, Skipped, Failed, OtherOperators>;

/// Bytes that stay where they are as long as their tensors do.
struct Tensor {
  std::vector<std::byte> file;
  onnx::TensorProto proto;
};

std::unique_ptr<Tensor> read_tensor(const fs::path& path) {
  auto tensor = std::make_unique<Tensor>();
  tensor->file = read_file(path);
  tensor->proto = onnx::parse_tensor(tensor->file, path.string());
  return tensor;
}

/// The reason without the names of one file, so that one line stands for all such cases.
std::string short_reason(std::string message) {
  for (const std::string prefix : {"model.onnx: "}) {
    if (message.starts_with(prefix)) message.erase(0, prefix.size());
  }
  if (message.starts_with("node ")) message.erase(0, message.find(": ") + 2);
  message = message.substr(0, message.find("; "));
  return message;
}

Outcome run_case(const fs::path& folder) {
  const std::vector<std::byte> file = read_file(folder / "model.onnx");
  onnx::ModelProto proto = onnx::parse_model(file, "model.onnx");
  Passed passed;
  const std::vector<ImportableOperator> importable = importable_operators();
  for (const onnx::NodeProto& node : proto.graph.nodes) {
    if (!std::ranges::any_of(importable, [&](const ImportableOperator& entry) { return entry.onnx == node.op_type; }))
      return OtherOperators{};
    passed.operators.insert(node.op_type);
  }
  // Weights are fed as inputs in these cases: all but the first input become the constants that a network has.
  std::vector<std::unique_ptr<Tensor>> tensors;
  std::set<std::string> stored;
  for (const onnx::TensorProto& tensor : proto.graph.initializers) stored.insert(tensor.name);
  std::vector<float> input;
  std::vector<onnx::ValueInfo> inputs;
  std::int64_t batch = 0;
  onnx::TensorBytes bytes("model.onnx", std::nullopt, {});
  std::size_t number = 0;
  for (const onnx::ValueInfo& value : proto.graph.inputs) {
    if (stored.contains(value.name)) continue;
    auto tensor = read_tensor(folder / "test_data_set_0" / fmt::format("input_{}.pb", number++));
    if (inputs.empty()) {
      if (value.type != onnx::DataType::float32) return Skipped{"input of type " + onnx::data_type_name(value.type)};
      if (tensor->proto.dims.empty()) return Skipped{"input without axes"};
      input = bytes.floats(tensor->proto);
      batch = tensor->proto.dims[0];
      inputs.push_back(value);
      continue;
    }
    tensor->proto.name = value.name;
    proto.graph.initializers.push_back(tensor->proto);
    tensors.push_back(std::move(tensor));
  }
  if (inputs.empty()) return Skipped{"no input"};
  proto.graph.inputs = inputs;
  proto.graph.outputs.resize(1);  // further outputs are a mask, indices or statistics, which inference does not have
  Imported imported;
  try {
    imported = onnx::Importer(proto, bytes, "model.onnx").run();
  } catch (const Error& error) {
    if (error.message().find("uses operators that are not supported") != std::string::npos) return OtherOperators{};
    return Skipped{short_reason(error.message())};
  }
  std::vector<double> bound;
  const std::vector<double> exact = run_reference(imported.model, input, batch, &bound);
  std::vector<float> ours(exact.size());
  try {
    Session session(imported.model, {.threads = 1, .batch = batch});
    session.run(input, ours);
  } catch (const Error& error) {
    if (error.message().find("is not the batch") == std::string::npos) throw;
    return Skipped{"the first extent of the output is not the batch"};
  }
  const auto wanted = read_tensor(folder / "test_data_set_0/output_0.pb");
  const std::vector<float> expected = bytes.floats(wanted->proto);
  if (expected.size() != exact.size()) return Failed{fmt::format("{} values, expected {}", exact.size(), expected.size())};
  for (std::size_t i = 0; i < exact.size(); ++i) {
    // Both are float32 evaluations of the same graph; the file's was rounded once more when it was stored.
    if (std::abs(ours[i] - exact[i]) > bound[i] || std::abs(expected[i] - exact[i]) > 2 * bound[i] + 1.2e-7 * std::abs(exact[i])) {
      return Failed{fmt::format("output {} is {}, reference {} within {}, expected {}", i, ours[i], exact[i], bound[i], expected[i])};
    }
  }
  return passed;
}

TEST(OnnxCases, RegisteredOperatorsPassOrSayWhyNot) {
  if (!fs::exists(kCases)) GTEST_SKIP() << "ONNX's test cases are not here; ./test installs libonnx-testdata";
  std::map<std::string, std::set<std::string>> skipped;  // reason -> cases
  std::set<std::string> passed_operators;
  int passed = 0;
  int skips = 0;
  std::string counts;
  for (const std::string set : {"node", "pytorch-operator", "pytorch-converted", "simple"}) {
    int set_passed = 0;
    int set_skipped = 0;
    for (const auto& entry : fs::directory_iterator(kCases / set)) {
      if (!fs::exists(entry.path() / "test_data_set_0")) continue;
      Outcome outcome;
      try {
        outcome = run_case(entry.path());
      } catch (const std::exception& error) {
        outcome = Failed{error.what()};
      }
      const std::string name = entry.path().filename().string().substr(5);
      if (const auto* failed = std::get_if<Failed>(&outcome)) {
        ADD_FAILURE() << set << "/" << name << ": " << failed->what;
      } else if (const auto* skip = std::get_if<Skipped>(&outcome)) {
        skipped[skip->reason].insert(set == "node" ? name : set + "/" + name);
        ++set_skipped;
      } else if (const auto* good = std::get_if<Passed>(&outcome)) {
        passed_operators.insert(good->operators.begin(), good->operators.end());
        ++set_passed;
      }
    }
    counts += fmt::format("| `{}` | {} | {} |\n", set, set_passed, set_skipped);
    passed += set_passed;
    skips += set_skipped;
  }
  EXPECT_GT(passed, 50);
  std::string need = "| set of cases | passed | skipped |\n|---|---|---|\n" + counts + "\n| reason | cases |\n|---|---|\n";
  for (const auto& [reason, cases] : skipped) {
    std::string list;
    for (const std::string& name : cases) list += (list.empty() ? "" : ", ") + name;
    need += fmt::format("| {} | {} |\n", reason, list);
  }
  const fs::path page_path = fs::path(BITWRIGHT_SOURCE_DIR) / "docs/onnx.md";
  std::string page = read_text_file(page_path);
  const std::string open = "<!-- cases -->\n";
  const std::size_t begin = page.find(open) + open.size();
  const std::size_t end = page.find("<!-- /cases -->");
  ASSERT_NE(end, std::string::npos);
  if (std::getenv("BITWRIGHT_UPDATE_DOCS") != nullptr) {
    write_file_atomic(page_path, std::string_view(page.replace(begin, end - begin, need)));
  } else {
    EXPECT_EQ(page.substr(begin, end - begin), need) << "run with BITWRIGHT_UPDATE_DOCS=1 to write docs/onnx.md anew";
  }
}

}  // namespace
}  // namespace bitwright
