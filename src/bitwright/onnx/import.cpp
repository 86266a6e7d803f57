// SPDX-License-Identifier: Apache-2.0
#include "bitwright/onnx/import.h"

#include "bitwright/core/error.h"
#include "bitwright/core/file.h"
#include "bitwright/onnx/importer.h"

namespace bitwright {
namespace {

Imported import_bytes(std::span<const std::byte> file, const std::string& source, const std::optional<std::filesystem::path>& folder,
                      std::function<void(std::span<const std::byte>)> release) {
  try {
    const onnx::ModelProto proto = onnx::parse_model(file, source);
    onnx::TensorBytes tensors(source, folder, std::move(release));
    return onnx::Importer(proto, tensors, source).run();
  } catch (const Error& error) {
    const std::string& message = error.message();
    throw Error(error.code(), message.starts_with(source + ":") ? message : source + ": " + message);
  }
}

}  // namespace

Imported import_onnx(std::span<const std::byte> file, const std::string& source, const std::optional<std::filesystem::path>& folder) {
  return import_bytes(file, source, folder, {});
}

Imported import_onnx(const std::filesystem::path& path) {
  const MappedFile file(path);
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  return import_bytes(file.bytes(), path.string(), folder, [&file](std::span<const std::byte> bytes) { file.release(bytes); });
}

}  // namespace bitwright
