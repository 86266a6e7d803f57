// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/onnx/export.h"
#include "bitwright/onnx/import.h"

#include <cstdio>
#include <cstdlib>
#include <span>

namespace {

using namespace bitwright;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: %s\n", what);
  std::abort();
}

bool is_of_a_file(ErrorCode code) {
  return code == ErrorCode::corrupt_file || code == ErrorCode::unsupported || code == ErrorCode::invalid_input;
}

/// Importing either fails with an error of a file, or gives a valid model.
void import(std::span<const std::byte> file) {
  Imported imported;
  try {
    imported = import_onnx(file, "fuzz.onnx");
  } catch (const Error& error) {
    if (!is_of_a_file(error.code())) std::fprintf(stderr, "%s\n", error.what());
    require(is_of_a_file(error.code()), "importing failed with another code");
    require(error.message().starts_with("fuzz.onnx: "), "a message does not name the file");
    require(error.message().find('\n') == std::string::npos, "a message has two lines");
    return;
  }
  for (const OnnxForm form : {OnnxForm::float32, OnnxForm::qdq, OnnxForm::codebook}) {
    OnnxExport first;
    try {
      first = export_onnx(imported.model, form, LossPolicy::allow);
    } catch (const Error& error) {
      require(is_of_a_file(error.code()), "exporting failed with another code");
      continue;  // e.g. a name that the form needs is taken
    }
    const Imported again = import_onnx(first.file, "again.onnx");
    require(export_onnx(again.model, form, LossPolicy::allow).file == first.file, "a second export differs from the first");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* content, std::size_t size) {
  import(std::as_bytes(std::span(content, size)));
  return 0;
}
