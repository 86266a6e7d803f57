// SPDX-License-Identifier: Apache-2.0
#include "tests/e2e/support/model_files.h"

#include "bitwright/core/checksum.h"
#include "bitwright/core/rng.h"
#include "bitwright/model/packed_file.h"
#include "tests/e2e/support/process.h"

#include <nlohmann/json.hpp>

#include <cstring>
#include <stdexcept>

namespace bitwright::test {
namespace {

std::vector<float> normals(const std::string& name, const Shape& shape) {
  const Rng rng(7, name);
  std::vector<float> values(static_cast<std::size_t>(shape.element_count()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(0.1 * rng.normal(i));
  return values;
}

void add_layer(Model& model, const std::string& name, const Shape& shape) {
  model.weights.emplace(name + ".weight", quantize(PowerOfTwo{5}, shape, normals(name, shape)));
  model.weights.emplace(name + ".bias", FloatTensor{{shape[0]}, normals(name + ".bias", {shape[0]})});
}

Node node(const std::string& name, Op op, std::vector<std::string> inputs, std::map<std::string, Attribute> attributes = {}) {
  return {name, op, std::move(inputs), {name + "_out"}, std::move(attributes)};
}

/// Little-endian number at a position of the file.
std::uint64_t u64_at(const std::string& file, std::size_t position) {
  std::uint64_t value = 0;
  std::memcpy(&value, file.data() + position, sizeof value);
  return value;
}

void put_u64(std::string& file, std::size_t position, std::uint64_t value) { std::memcpy(file.data() + position, &value, sizeof value); }

std::uint64_t checksum(const std::string& file, std::size_t position, std::size_t count) {
  return xxh3_64(bitwright::as_bytes(std::string_view(file).substr(position, count)));
}

}  // namespace

Model small_model() {
  Model model;
  model.graph.name = "small";
  model.graph.inputs = {{"image", {Shape::kDynamic, 1, 28, 28}}};
  model.graph.nodes = {
      node("conv", Op::Conv, {"image", "conv.weight", "conv.bias"}, {{"kernel_shape", std::vector<std::int64_t>{5, 5}}}),
      node("pool", Op::MaxPool, {"conv_out"},
           {{"kernel_shape", std::vector<std::int64_t>{2, 2}}, {"strides", std::vector<std::int64_t>{2, 2}}}),
      node("relu", Op::Relu, {"pool_out"}),
      node("flatten", Op::Flatten, {"relu_out"}),
      node("fc", Op::Gemm, {"flatten_out", "fc.weight", "fc.bias"}, {{"transB", std::int64_t{1}}}),
  };
  model.graph.outputs = {"fc_out"};
  add_layer(model, "conv", {4, 1, 5, 5});
  add_layer(model, "fc", {10, 576});
  return model;
}

std::string small_packed_file() {
  const std::vector<std::byte> bytes = pack_model(small_model());
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string with_name_replaced(std::string packed_file, const std::string& from, const std::string& to) {
  // docs/file-format.md: 24 bytes, then per section kind (4), length (8) and checksum (8), then the header's checksum; names come first.
  constexpr std::size_t kLength = 28;
  constexpr std::size_t kChecksum = 36;
  constexpr std::size_t kHeaderChecksum = 124;
  constexpr std::size_t kNames = 132;
  const std::size_t length = u64_at(packed_file, kLength);
  const std::size_t at = packed_file.find(from, kNames);
  if (from.size() != to.size() || at == std::string::npos || at >= kNames + length) throw std::runtime_error("no name " + from);
  packed_file.replace(at, from.size(), to);
  put_u64(packed_file, kChecksum, checksum(packed_file, kNames, length));
  put_u64(packed_file, kHeaderChecksum, checksum(packed_file, 0, kHeaderChecksum));
  return packed_file;
}

void write_safetensors_unchecked(const std::filesystem::path& path, const Tensors& tensors) {
  nlohmann::json header;
  std::string content;
  for (const auto& [name, tensor] : tensors) {
    const std::size_t begin = content.size();
    content.append(reinterpret_cast<const char*>(tensor.values.data()), tensor.values.size() * sizeof(float));
    header[name] = {{"dtype", "F32"}, {"shape", tensor.shape.dims()}, {"data_offsets", {begin, content.size()}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string file(8, '\0');
  put_u64(file, 0, text.size());
  write_bytes(path, file + text + content);
}

void write_idx(const std::filesystem::path& path, const IdxFile& file) {
  std::string bytes;
  const auto put = [&bytes](std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>((value >> shift) & 0xFF);
  };
  put(file.magic);
  for (const std::uint32_t extent : file.extents) put(extent);
  bytes.append(file.content_bytes, '\0');
  std::filesystem::create_directories(path.parent_path());
  write_bytes(path, bytes);
}

}  // namespace bitwright::test
