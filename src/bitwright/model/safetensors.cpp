// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/safetensors.h"

#include "bitwright/core/bytes.h"
#include "bitwright/core/error.h"
#include "bitwright/core/file.h"
#include "bitwright/model/limits.h"
#include "bitwright/model/safetensors_bytes.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>
#include <set>

namespace bitwright {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the reference implementation's limit
constexpr std::string_view kMetadata = "__metadata__";

[[noreturn]] void fail_corrupt(const std::string& source, const std::string& what) {
  fail(ErrorCode::corrupt_file, "{}: {}; the file is damaged, get it again.", source, what);
}

/// Keeps the parser from accepting a key twice: JSON leaves the meaning open, and two readers would see two networks.
class DuplicateKeys {
 public:
  bool operator()(int depth, Json::parse_event_t event, const Json& value) {
    if (event == Json::parse_event_t::object_start) keys_.emplace_back();
    if (event == Json::parse_event_t::object_end) keys_.pop_back();
    if (event == Json::parse_event_t::key && !keys_.back().insert(value.get<std::string>()).second && !found_) {
      found_ = value.get<std::string>();
    }
    if (depth > kMaxDepth) too_deep_ = true;
    return !too_deep_;
  }
  [[nodiscard]] const std::optional<std::string>& found() const noexcept { return found_; }
  [[nodiscard]] bool too_deep() const noexcept { return too_deep_; }

 private:
  static constexpr int kMaxDepth = 8;  // a valid header needs 3
  std::vector<std::set<std::string>> keys_;
  std::optional<std::string> found_;
  bool too_deep_ = false;
};

Json parse_header(std::span<const std::byte> text, const std::string& source) {
  DuplicateKeys keys;
  Json header;
  const auto* begin = reinterpret_cast<const char*>(text.data());
  try {
    header = Json::parse(begin, begin + text.size(),
                         [&keys](int depth, Json::parse_event_t event, const Json& value) { return keys(depth, event, value); });
  } catch (const Json::exception&) {
    fail_corrupt(source, "the header is not JSON");
  }
  if (keys.too_deep()) fail_corrupt(source, "the header is nested too deeply");
  if (keys.found()) fail_corrupt(source, fmt::format("the header names \"{}\" twice", *keys.found()));
  if (!header.is_object()) fail_corrupt(source, "the header is not a JSON object");
  return header;
}

struct Entry {
  std::string name;
  std::string dtype;
  Shape shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

std::uint64_t dtype_bytes(const std::string& dtype) {
  static const std::map<std::string, std::uint64_t, std::less<>> kBytes = {
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"U16", 2}, {"I16", 2}, {"F16", 2},
      {"BF16", 2}, {"U32", 4}, {"I32", 4}, {"F32", 4},     {"U64", 8},     {"I64", 8}, {"F64", 8}};
  const auto found = kBytes.find(dtype);
  return found == kBytes.end() ? 0 : found->second;
}

std::vector<std::uint64_t> unsigned_list(const Json& entry, const char* key, const std::string& name, const std::string& source) {
  const auto found = entry.find(key);
  if (found == entry.end() || !found->is_array()) fail_corrupt(source, fmt::format("tensor \"{}\" has no list \"{}\"", name, key));
  std::vector<std::uint64_t> values;
  for (const Json& value : *found) {
    if (!value.is_number_unsigned()) fail_corrupt(source, fmt::format("tensor \"{}\": \"{}\" is not a list of counts", name, key));
    values.push_back(value.get<std::uint64_t>());
  }
  return values;
}

Entry read_entry(const std::string& name, const Json& json, std::uint64_t data_bytes, const std::string& source) {
  Entry entry{.name = name, .dtype = {}, .shape = {}, .begin = 0, .end = 0};
  if (!json.is_object() || !json.contains("dtype") || !json["dtype"].is_string())
    fail_corrupt(source, fmt::format("tensor \"{}\" has no dtype", name));
  entry.dtype = json["dtype"].get<std::string>();
  const std::uint64_t item_bytes = dtype_bytes(entry.dtype);
  if (item_bytes == 0) {
    fail(ErrorCode::unsupported, "{}: tensor \"{}\" has a dtype that is not known (found {}, need F32, F16 or BF16); convert it.", source,
         name, entry.dtype);
  }
  const std::vector<std::uint64_t> dims = unsigned_list(json, "shape", name, source);
  std::vector<std::int64_t> extents;
  for (const std::uint64_t dim : dims) {
    if (dim > static_cast<std::uint64_t>(limits::kMaxExtent))
      fail_corrupt(source, fmt::format("tensor \"{}\" has an extent out of range (found {})", name, dim));
    extents.push_back(static_cast<std::int64_t>(dim));
  }
  if (extents.size() > limits::kMaxTensorRank)
    fail_corrupt(source,
                 fmt::format("tensor \"{}\" has too many axes (found {}, need at most {})", name, extents.size(), limits::kMaxTensorRank));
  entry.shape = Shape(std::move(extents));
  const std::vector<std::uint64_t> offsets = unsigned_list(json, "data_offsets", name, source);
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data_bytes) {
    fail_corrupt(source, fmt::format("tensor \"{}\" does not lie within the file (found [{}], need two offsets up to {})", name,
                                     fmt::join(offsets, ", "), data_bytes));
  }
  entry.begin = offsets[0];
  entry.end = offsets[1];
  std::uint64_t elements = 0;
  try {
    elements = static_cast<std::uint64_t>(entry.shape.element_count());
  } catch (const Error&) {
    fail_corrupt(source, fmt::format("tensor \"{}\" has too many elements (found {})", name, entry.shape.to_string()));
  }
  // Compared by division: the product could leave 64 bits.
  if ((entry.end - entry.begin) % item_bytes != 0 || (entry.end - entry.begin) / item_bytes != elements) {
    fail_corrupt(source, fmt::format("tensor \"{}\" has a wrong length (found {} bytes, need {} of {})", name, entry.end - entry.begin,
                                     entry.shape.to_string(), entry.dtype));
  }
  return entry;
}

void require_gapless(std::vector<Entry> entries, std::uint64_t data_bytes, const std::string& source) {
  std::ranges::sort(entries, [](const Entry& a, const Entry& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  std::uint64_t end = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != end) {
      fail_corrupt(source, fmt::format("tensor \"{}\" {} (found offset {}, need {})", entry.name,
                                       entry.begin < end ? "overlaps another" : "leaves a gap before it", entry.begin, end));
    }
    end = entry.end;
  }
  if (end != data_bytes) fail_corrupt(source, fmt::format("bytes behind the last tensor (found {}, need {})", data_bytes, end));
}

/// IEEE binary16 to binary32, exactly.
float half_to_float(std::uint16_t bits) {
  const float sign = (bits & 0x8000) != 0 ? -1.0F : 1.0F;
  const int exponent = bits >> 10 & 0x1F;
  const int fraction = bits & 0x3FF;
  if (exponent == 0x1F) return fraction == 0 ? sign * INFINITY : NAN;
  return sign *
         (exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24) : std::ldexp(static_cast<float>(fraction + 1024), exponent - 25));
}

FloatTensor read_tensor(const Entry& entry, std::span<const std::byte> content, const std::string& source) {
  FloatTensor tensor{.shape = entry.shape, .values = {}};
  ByteReader reader(content, source);
  const std::uint64_t count = content.size() / dtype_bytes(entry.dtype);
  tensor.values.reserve(static_cast<std::size_t>(count));
  for (std::uint64_t i = 0; i < count; ++i) {
    if (entry.dtype == "F32") tensor.values.push_back(reader.f32());
    if (entry.dtype == "F16") tensor.values.push_back(half_to_float(reader.u16()));
    if (entry.dtype == "BF16") tensor.values.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(reader.u16()) << 16));
  }
  return tensor;
}

}  // namespace

std::map<std::string, FloatTensor, std::less<>> parse_safetensors(std::span<const std::byte> file, const std::string& source) {
  ByteReader reader(file, source);
  const std::uint64_t header_bytes = reader.u64();
  if (header_bytes > kMaxHeaderBytes || header_bytes > reader.remaining()) {
    fail_corrupt(source, fmt::format("the header is longer than allowed (found {} bytes, need at most {})", header_bytes,
                                     std::min(kMaxHeaderBytes, reader.remaining())));
  }
  const Json header = parse_header(reader.bytes(header_bytes), source);
  const std::span<const std::byte> content = reader.bytes(reader.remaining());
  std::vector<Entry> entries;
  for (const auto& [name, json] : header.items()) {
    if (name != kMetadata) entries.push_back(read_entry(name, json, content.size(), source));
  }
  require_gapless(entries, content.size(), source);
  std::map<std::string, FloatTensor, std::less<>> tensors;
  for (const Entry& entry : entries) {
    if (entry.dtype == "I64") continue;  // counters such as num_batches_tracked
    if (entry.dtype != "F32" && entry.dtype != "F16" && entry.dtype != "BF16") {
      fail(ErrorCode::unsupported, "{}: tensor \"{}\" has a dtype that is not supported (found {}, need F32, F16 or BF16); convert it.",
           source, entry.name, entry.dtype);
    }
    tensors.emplace(entry.name, read_tensor(entry, content.subspan(entry.begin, entry.end - entry.begin), source));
  }
  return tensors;
}

std::vector<std::byte> format_safetensors(const Model& model) {
  validate(model);
  nlohmann::ordered_json header;
  header[std::string(kMetadata)] = {{"format", "pt"}};  // readers in the field ask for it
  ByteWriter content;
  for (const auto& [name, weight] : model.weights) {
    if (name == kMetadata) fail(ErrorCode::invalid_input, "weight \"{}\" has a name that safetensors reserves; rename it.", name);
    const std::size_t begin = content.size();
    for (const float value : weight_values(weight)) content.f32(value);
    header[name] = {{"dtype", "F32"}, {"shape", weight_shape(weight).dims()}, {"data_offsets", {begin, content.size()}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  ByteWriter file;
  file.u64(text.size());
  file.bytes(as_bytes(text));
  file.bytes(content.view());
  return std::move(file).take();
}

std::map<std::string, FloatTensor, std::less<>> read_safetensors(const std::filesystem::path& path) {
  const MappedFile file(path);
  return parse_safetensors(file.bytes(), path.string());
}

void write_safetensors(const std::filesystem::path& path, const Model& model) {
  write_file_atomic(path, std::span<const std::byte>(format_safetensors(model)));
}

void load_weights(Model& model, const std::map<std::string, FloatTensor, std::less<>>& tensors, const std::string& source) {
  for (const auto& [name, tensor] : tensors) {
    if (!model.weights.contains(name)) {
      fail(ErrorCode::invalid_input, "{}: tensor \"{}\" is not a weight of {} (it has {}); give weights trained for this network.", source,
           name, model.graph.name, model.weights.empty() ? "none" : "\"" + model.weights.begin()->first + "\", ...");
    }
  }
  // All checks come before the first change, so a failure leaves the model as it was.
  for (const auto& [name, weight] : model.weights) {
    const auto found = tensors.find(name);
    if (found == tensors.end()) {
      fail(ErrorCode::invalid_input, "{}: weight \"{}\" of {} is missing (need {}); give weights trained for this network.", source, name,
           model.graph.name, weight_shape(weight).to_string());
    }
    const FloatTensor& tensor = found->second;
    if (tensor.shape != weight_shape(weight)) {
      fail(ErrorCode::invalid_input, "{}: tensor \"{}\" does not fit {} (found {}, need {}); give weights trained for this network.",
           source, name, model.graph.name, tensor.shape.to_string(), weight_shape(weight).to_string());
    }
    for (std::size_t i = 0; i < tensor.values.size(); ++i) {
      if (!std::isfinite(tensor.values[i])) {
        fail(ErrorCode::invalid_input,
             "{}: tensor \"{}\" is not finite at index {} (found {}, need a finite number); train again or repair the file.", source, name,
             i, tensor.values[i]);
      }
    }
  }
  for (auto& [name, weight] : model.weights) weight = tensors.find(name)->second;
}

}  // namespace bitwright
