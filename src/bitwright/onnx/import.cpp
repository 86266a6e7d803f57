// SPDX-License-Identifier: Apache-2.0
#include "bitwright/onnx/import.h"

#include "bitwright/core/error.h"
#include "bitwright/core/file.h"
#include "bitwright/onnx/importer.h"

namespace bitwright {
namespace {

/// Names in messages are the file's, and may hold anything.
std::string printable(std::string_view message) {
  std::string text;
  for (const char c : message) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) {
      text += fmt::format("\\x{:02x}", static_cast<unsigned>(byte));
    } else {
      text += c;
    }
  }
  return text;
}

Imported import_bytes(std::span<const std::byte> file, const std::string& source, const std::optional<std::filesystem::path>& folder,
                      std::function<void(std::span<const std::byte>)> release) {
  try {
    const onnx::ModelProto proto = onnx::parse_model(file, source);
    onnx::TensorBytes tensors(source, folder, std::move(release));
    return onnx::Importer(proto, tensors, source).run();
  } catch (const Error& error) {
    const std::string message = printable(error.message());
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
