// SPDX-License-Identifier: Apache-2.0
// Reads back what export_onnx wrote: metadata of the model, and quantized weights as the codes that they were.
#include "bitwright/core/error.h"
#include "bitwright/formats/buckets.h"
#include "bitwright/model/limits.h"
#include "bitwright/onnx/code_fields.h"
#include "bitwright/onnx/importer.h"
#include "bitwright/onnx/weight_graph.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <sstream>

namespace bitwright::onnx {
namespace {

std::optional<std::vector<std::byte>> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::vector<std::byte> bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    unsigned value = 0;
    if (std::from_chars(text.data() + i, text.data() + i + 2, value, 16).ptr != text.data() + i + 2) return std::nullopt;
    bytes.push_back(static_cast<std::byte>(value));
  }
  return bytes;
}

/// Constants of one weight, by their names below it.
class Constants {
 public:
  Constants(const std::string& weight, const std::function<const TensorProto*(const std::string&)>& find)
      : prefix_(weight + "/"), find_(find) {}

  [[nodiscard]] const TensorProto* get(std::string_view what) const {
    const TensorProto* tensor = find_(prefix_ + std::string(what));
    return tensor != nullptr && tensor->has_raw && !tensor->is_external ? tensor : nullptr;
  }

  [[nodiscard]] std::optional<Shape> shape() const {
    const TensorProto* tensor = get("shape");
    if (tensor == nullptr || tensor->data_type != DataType::int64 || tensor->raw_view().size() > 8 * limits::kMaxTensorRank)
      return std::nullopt;
    std::vector<std::int64_t> dims(tensor->raw_view().size() / 8);
    if (!dims.empty()) std::memcpy(dims.data(), tensor->raw_view().data(), dims.size() * 8);
    return checked(std::move(dims));
  }

  /// Nothing for extents that no tensor has.
  [[nodiscard]] static std::optional<Shape> checked(std::vector<std::int64_t> dims) {
    std::int64_t count = 1;
    for (const std::int64_t dim : dims) {
      if (dim < 1 || dim > limits::kMaxExtent || count > (std::int64_t{1} << 40) / dim) return std::nullopt;
      count *= dim;
    }
    return Shape(std::move(dims));
  }

  [[nodiscard]] std::vector<float> floats(std::string_view what) const {
    const TensorProto* tensor = get(what);
    if (tensor == nullptr || tensor->data_type != DataType::float32) return {};
    std::vector<float> values(tensor->raw_view().size() / 4);
    if (!values.empty()) std::memcpy(values.data(), tensor->raw_view().data(), values.size() * 4);
    return values;
  }

 private:
  std::string prefix_;
  const std::function<const TensorProto*(const std::string&)>& find_;
};

std::optional<std::int64_t> bucket_size_of(const NumberFormat& format) {
  if (const auto* uniform = format.get_if<Uniform>()) return uniform->bucket_size;
  if (const auto* codebook = format.get_if<Codebook>()) return codebook->bucket_size;
  return std::nullopt;
}

/// Number of codes that the file stores for a weight: whole rows of a bucket each.
std::int64_t stored_count(const NumberFormat& format, std::int64_t count) {
  const auto size = bucket_size_of(format);
  const std::int64_t rows = bucket_count(count, size);
  return rows <= 1 ? count : rows * *size;
}

std::optional<std::vector<std::int64_t>> read_packed_codes(const Constants& constants, const NumberFormat& format, std::int64_t count) {
  const TensorProto* whole = constants.get("codes");
  const int bits = format.code_bits();
  const bool is_base3 = format.code_layout() == CodeLayout::base3;
  const std::vector<CodeField> fields = code_fields(bits);
  const bool is_fixed = format.get_if<FixedPoint>() != nullptr;
  if (is_fixed && (bits == 8 || bits == 16 || bits == 32)) {
    TensorBytes bytes("codes", std::nullopt, {});
    return whole != nullptr ? std::optional(bytes.integers(*whole)) : std::nullopt;
  }
  const TensorProto* first = is_base3 || fields.size() == 1 ? whole : constants.get("codes.0");
  if (first == nullptr || count > 8 * std::ssize(first->raw_view())) return std::nullopt;  // before anything is allocated for them
  std::vector<std::int64_t> codes(static_cast<std::size_t>(count), 0);
  if (is_base3) return unpack_base3_bytes(*whole, codes) ? std::optional(std::move(codes)) : std::nullopt;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const TensorProto* part = fields.size() == 1 ? whole : constants.get("codes." + std::to_string(i));
    if (part == nullptr || !unpack_field(*part, fields[i], codes)) return std::nullopt;
  }
  if (is_fixed) {
    for (std::int64_t& code : codes) code -= std::int64_t{1} << (bits - 1);
  }
  return codes;
}

std::optional<std::vector<std::int64_t>> read_integers(const Constants& constants, const NumberFormat& format,
                                                       std::span<const std::byte> parameters) {
  const TensorProto* tensor = constants.get("integers");
  if (tensor == nullptr || data_type_bits(tensor->data_type) > 32) return std::nullopt;
  TensorBytes bytes("integers", std::nullopt, {});
  std::vector<std::int64_t> codes = bytes.integers(*tensor);
  if (format.get_if<Ternary>() != nullptr) {
    for (std::int64_t& code : codes) code = code == -1 ? 2 : code;
  }
  if (format.get_if<PowerOfTwo>() != nullptr) {
    for (std::int64_t& code : codes) {
      const auto magnitude = static_cast<std::uint64_t>(std::abs(code));
      if (code != 0) code = 1 + 2 * (std::bit_width(magnitude) - 1) + (code < 0 ? 1 : 0);
    }
  }
  (void)parameters;
  return codes;
}

/// Parameters as the packed file has them, from the constants of the codebook form.
std::vector<std::byte> parameter_bytes(const Constants& constants, const NumberFormat& format) {
  ByteWriter writer;
  if (format.get_if<Codebook>() != nullptr) {
    for (const float point : constants.floats("points")) writer.f32(point);
  }
  const std::vector<float> scales = constants.floats("scale");
  const std::vector<float> minima = constants.floats("min");
  for (std::size_t i = 0; i < scales.size() && i < minima.size(); ++i) {
    writer.f32(scales[i]);
    writer.f32(minima[i]);
  }
  return std::move(writer).take();
}

bool equal_tensors(const TensorProto& a, const TensorProto& b) {
  return a.data_type == b.data_type && a.dims == b.dims && a.has_raw == b.has_raw && !a.is_external && !b.is_external &&
         std::ranges::equal(a.raw_view(), b.raw_view());
}

bool equal_nodes(const NodeProto& a, const NodeProto& b) {
  const auto equal_attributes = [](const AttributeProto& x, const AttributeProto& y) {
    return x.name == y.name && x.type == y.type && x.i == y.i && x.s == y.s && x.f == y.f && x.ints == y.ints && x.floats == y.floats;
  };
  return a.op_type == b.op_type && a.domain == b.domain && a.inputs == b.inputs && a.outputs == b.outputs &&
         std::ranges::equal(a.attributes, b.attributes, equal_attributes);
}

std::vector<float> number_list(const std::string& key, const std::string& text) {
  std::vector<float> values;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    float value = 0.0F;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size() || values.size() == limits::kMaxChannels) {
      fail(ErrorCode::invalid_input, "metadata \"{}\" is no list of numbers; correct it or remove it.", key);
    }
    values.push_back(value);
  }
  return values;
}

}  // namespace

std::optional<QuantizedTensor> read_weight_graph(const std::string& name, const std::string& note,
                                                 const std::function<const TensorProto*(const std::string&)>& find) {
  std::istringstream words(note);
  std::string form;
  std::string spec;
  std::string hex;
  words >> form >> spec >> hex;
  const auto stated = from_hex(hex);
  if ((form != "codebook" && form != "qdq") || spec.empty() || !stated) return std::nullopt;
  const Constants constants(name, find);
  try {
    const NumberFormat format = NumberFormat::parse(spec);
    std::optional<Shape> shape = constants.shape();
    if (!shape && form == "qdq" && constants.get("integers") != nullptr) shape = Constants::checked(constants.get("integers")->dims);
    if (!shape) return std::nullopt;
    const std::int64_t count = shape->element_count();
    auto codes =
        form == "qdq" ? read_integers(constants, format, *stated) : read_packed_codes(constants, format, stored_count(format, count));
    if (!codes || std::ssize(*codes) < count) return std::nullopt;
    codes->resize(static_cast<std::size_t>(count));
    std::vector<std::int32_t> narrow;
    for (const std::int64_t code : *codes) {
      if (code < INT32_MIN || code > INT32_MAX) return std::nullopt;
      narrow.push_back(static_cast<std::int32_t>(code));
    }
    const std::vector<std::byte> bytes = stated->empty() ? parameter_bytes(constants, format) : *stated;
    if (std::ssize(bytes) != format.parameter_bytes(count)) return std::nullopt;
    ByteReader reader(bytes, name);
    FormatParameters parameters =
        std::visit([&](const auto& chosen) -> FormatParameters { return chosen.read_parameters(reader, count); }, format.variant());
    return QuantizedTensor(format, *shape, std::move(narrow), std::move(parameters));
  } catch (const Error&) {
    return std::nullopt;  // then the nodes are read as any others are
  }
}

RecognizedWeights recognize_weights(const ModelProto& file, TensorBytes&) {
  RecognizedWeights result;
  result.consumed.assign(file.graph.nodes.size(), false);
  const bool has_notes = std::ranges::any_of(file.metadata, [](const auto& entry) { return entry.first.starts_with(kWeightNotePrefix); });
  if (!has_notes) return result;
  std::map<std::string_view, const TensorProto*> initializers;
  for (const TensorProto& tensor : file.graph.initializers) initializers.emplace(tensor.name, &tensor);
  std::map<std::string_view, std::size_t> makers;
  for (std::size_t i = 0; i < file.graph.nodes.size(); ++i) {
    for (const std::string& output : file.graph.nodes[i].outputs) makers.emplace(output, i);
  }
  const auto find = [&](const std::string& name) -> const TensorProto* {
    const auto found = initializers.find(name);
    return found == initializers.end() ? nullptr : found->second;
  };
  for (const auto& [key, note] : file.metadata) {
    if (!key.starts_with(kWeightNotePrefix)) continue;
    const std::string name = key.substr(kWeightNotePrefix.size());
    if (!makers.contains(name)) continue;
    const auto tensor = read_weight_graph(name, note, find);
    if (!tensor) continue;
    // Only what would be written again exactly so is taken for it.
    const WeightGraph expected = note.starts_with("qdq") ? qdq_graph(name, *tensor) : codebook_graph(name, *tensor);
    bool is_same = expected.note == note;
    const auto same_constant = [&](const TensorProto& constant) {
      const TensorProto* found = find(constant.name);
      return found != nullptr && equal_tensors(*found, constant);
    };
    is_same = is_same && std::ranges::all_of(expected.initializers, same_constant) &&
              std::ranges::all_of(expected.shared, [&](const std::string& shared) { return same_constant(shared_constant(shared)); });
    std::vector<std::size_t> nodes;
    for (const NodeProto& node : expected.nodes) {
      const auto maker = makers.find(node.outputs.front());
      is_same = is_same && maker != makers.end() && equal_nodes(file.graph.nodes[maker->second], node);
      if (is_same) nodes.push_back(maker->second);
    }
    if (!is_same) continue;
    for (const std::size_t node : nodes) result.consumed[node] = true;
    result.weights.emplace(name, *tensor);
  }
  return result;
}

TensorProto shared_constant(const std::string& name) {
  const auto number_behind = [&name](std::string_view prefix) {
    int number = 0;
    std::from_chars(name.data() + prefix.size(), name.data() + name.size(), number);
    return number;
  };
  const auto int32s = [&name](std::vector<std::int64_t> dims, std::vector<std::int64_t> values) {
    return integer_tensor(name, DataType::int32, std::move(dims), values);
  };
  if (name == "bitwright/powers_of_3") return int32s({1, 5}, {1, 3, 9, 27, 81});
  if (name == "bitwright/three") return int32s({}, {3});
  if (name == "bitwright/flat") return int64_tensor(name, {1}, std::vector<std::int64_t>{-1});
  if (name == "bitwright/zero") return int64_tensor(name, {1}, std::vector<std::int64_t>{0});
  constexpr std::string_view kShifts = "bitwright/shifts_";
  constexpr std::string_view kModulus = "bitwright/modulus_";
  constexpr std::string_view kWeight = "bitwright/weight_";
  if (name.starts_with(kShifts)) {
    std::vector<std::int64_t> shifts;
    const int width = number_behind(kShifts);
    for (int shift = 0; shift < 8; shift += width) shifts.push_back(shift);
    return integer_tensor(name, DataType::uint8, {1, std::ssize(shifts)}, shifts);
  }
  if (name.starts_with(kModulus)) {
    return integer_tensor(name, DataType::uint8, {}, std::vector<std::int64_t>{std::int64_t{1} << number_behind(kModulus)});
  }
  return int32s({}, {std::int64_t{1} << number_behind(kWeight)});
}

void Importer::read_metadata() {
  constexpr std::string_view kNote = "bitwright.note.";
  for (const auto& [key, text] : file_.metadata) {
    if (key == "bitwright.input_mean") model_.input_transform.mean = number_list(key, text);
    if (key == "bitwright.input_std") model_.input_transform.std = number_list(key, text);
    if (key == "bitwright.class_names") {
      std::istringstream lines(text);
      for (std::string line; std::getline(lines, line);) {
        if (line.size() > limits::kMaxNameBytes || model_.class_names.size() == limits::kMaxClassNames) {
          fail(ErrorCode::invalid_input, "metadata \"{}\" holds more or longer names than a model can; correct it or remove it.", key);
        }
        model_.class_names.push_back(line);
      }
    }
    if (key.starts_with(kNote) && text.size() <= limits::kMaxTextBytes && key.size() - kNote.size() <= limits::kMaxNameBytes &&
        model_.notes.size() < limits::kMaxNotes) {
      model_.notes.insert_or_assign(key.substr(kNote.size()), text);
    }
  }
}

}  // namespace bitwright::onnx
