// SPDX-License-Identifier: Apache-2.0
#include "common/model_readers.h"

#include "bitwright/model/model_source.h"
#include "bitwright/onnx/import.h"

namespace bitwright::apps {

void register_model_readers() {
  register_model_reader(".onnx", [](const std::filesystem::path& path) { return import_onnx(path).model; });
}

}  // namespace bitwright::apps
