// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/packed_file.h"

#include "bitwright/core/checksum.h"
#include "bitwright/core/error.h"
#include "bitwright/core/file.h"
#include "bitwright/model/packed/sections.h"

#include <algorithm>
#include <array>
#include <optional>

namespace bitwright {
namespace {

// docs/file-format.md, "Header". The first twelve bytes keep their meaning in every version to come.
constexpr std::array<std::uint8_t, 8> kMagic = {0x89, 'B', 'W', 'T', '\r', '\n', 0x1A, '\n'};
constexpr std::uint16_t kVersion = 1;
constexpr std::uint16_t kOrderMark = 0xFEFF;
constexpr std::array<std::string_view, 5> kSectionNames = {"names", "graph", "metadata", "weights", "tensors"};
constexpr std::size_t kTensors = kSectionNames.size() - 1;
constexpr std::uint64_t kHeaderBytes = 24 + 20 * kSectionNames.size() + 8;

using Bytes = std::span<const std::byte>;

struct Section {
  std::uint64_t length = 0;
  std::uint64_t checksum = 0;
};
using SectionTable = std::array<Section, kSectionNames.size()>;

std::vector<std::byte> pack_header(const std::array<Bytes, kSectionNames.size()>& sections) {
  std::uint64_t file_bytes = kHeaderBytes;
  for (const Bytes section : sections) file_bytes += section.size();
  ByteWriter writer;
  for (const std::uint8_t byte : kMagic) writer.u8(byte);
  writer.u16(kOrderMark);
  writer.u16(kVersion);
  writer.u16(0);  // flags
  writer.u16(static_cast<std::uint16_t>(sections.size()));
  writer.u64(file_bytes);
  for (std::size_t i = 0; i < sections.size(); ++i) {
    writer.u32(static_cast<std::uint32_t>(i + 1));
    writer.u64(sections[i].size());
    writer.u64(xxh3_64(sections[i]));
  }
  writer.u64(xxh3_64(writer.view()));
  return std::move(writer).take();
}

void check_magic(Bytes file, const std::string& source) {
  const std::size_t present = std::min(file.size(), kMagic.size());
  std::size_t same = 0;
  while (same < present && file[same] == static_cast<std::byte>(kMagic[same])) ++same;
  if (same == kMagic.size()) return;
  if (same == present) {
    fail(ErrorCode::corrupt_file, "{}: the file ends too early (found {} bytes, need at least {}); it is truncated, get it again.", source,
         file.size(), kHeaderBytes);
  }
  if (same >= 4) {
    fail(ErrorCode::corrupt_file, "{}: a transfer in text mode changed the line ends; copy the file again in binary mode.", source);
  }
  fail(ErrorCode::corrupt_file, "{}: not a packed bitwright file (its first {} bytes are not the magic); give a .bw file.", source,
       kMagic.size());
}

void check_prologue(ByteReader& header, const std::string& source) {
  const std::uint16_t order_mark = header.u16();
  if (order_mark != kOrderMark) {
    fail(ErrorCode::corrupt_file, "{}: the byte order mark is wrong (found {:#06x}, need {:#06x}); the file is damaged, get it again.",
         source, order_mark, kOrderMark);
  }
  const std::uint16_t version = header.u16();
  if (version > kVersion) {
    fail(ErrorCode::unsupported, "{}: file version {}, this program reads up to {}; update bitwright.", source, version, kVersion);
  }
  if (version == 0) fail(ErrorCode::corrupt_file, "{}: file version 0 does not exist (need 1); the file is damaged, get it again.", source);
}

SectionTable read_header(Bytes file, const std::string& source) {
  check_magic(file, source);
  ByteReader header(file, source);
  (void)header.bytes(kMagic.size());
  check_prologue(header, source);
  const std::uint16_t flags = header.u16();
  const std::uint16_t count = header.u16();
  const std::uint64_t file_bytes = header.u64();
  if (file_bytes != file.size()) {
    fail(ErrorCode::corrupt_file, "{}: the file has the wrong length (found {} bytes, need {}); it is truncated or damaged, get it again.",
         source, file.size(), file_bytes);
  }
  SectionTable sections;
  std::uint64_t end = kHeaderBytes;
  bool kinds_in_order = count == sections.size();
  for (std::size_t i = 0; i < sections.size(); ++i) {
    kinds_in_order = header.u32() == i + 1 && kinds_in_order;
    sections[i].length = header.u64();
    sections[i].checksum = header.u64();
  }
  const std::uint64_t sum = xxh3_64(file.first(static_cast<std::size_t>(header.position())));
  if (header.u64() != sum) {
    fail(ErrorCode::corrupt_file, "{}: the checksum of the header is wrong; the file is damaged, get it again.", source);
  }
  if (flags != 0 || !kinds_in_order) {
    fail(ErrorCode::unsupported,
         "{}: the header is not one of version 1 (found flags {:#06x}, {} sections, need 0x0000, {}); update bitwright.", source, flags,
         count, sections.size());
  }
  for (const Section& section : sections) {
    // Compared one by one so that the sum can't wrap around.
    if (section.length > file_bytes - end) {
      fail(ErrorCode::corrupt_file, "{}: the sections are longer than the file (found {} bytes, need at most {}); get it again.", source,
           section.length, file_bytes - end);
    }
    end += section.length;
  }
  if (end != file_bytes) {
    fail(ErrorCode::corrupt_file, "{}: the sections do not fill the file (found {} bytes, need {}); get it again.", source, end,
         file_bytes);
  }
  return sections;
}

/// Reads one section to its end.
class SectionReader : public ByteReader {
 public:
  SectionReader(Bytes section, const std::string& source, std::string_view name)
      : ByteReader(section, source + " (" + std::string(name) + " section)") {}
  void finish() const {
    if (remaining() != 0) {
      fail(ErrorCode::corrupt_file, "{}: bytes are left over (found {}, need 0); the file is damaged, get it again.", source(),
           remaining());
    }
  }
};

/// The checksum of the tensors, taken on the way: each tensor's bytes are hashed just before they are decoded, so that memory is read once.
/// What was decoded counts only when `matches` said so at the end.
class TensorsChecksum {
 public:
  explicit TensorsChecksum(Bytes section) : section_(section) {}

  /// Hashes up to `end`, as far as the section goes.
  void advance(std::uint64_t end) {
    const auto to = static_cast<std::size_t>(std::min<std::uint64_t>(end, section_.size()));
    if (to <= hashed_) return;
    stream_.update(section_.subspan(hashed_, to - hashed_));
    hashed_ = to;
  }
  /// Hashes what is left.
  [[nodiscard]] bool matches(std::uint64_t checksum) {
    advance(section_.size());
    return stream_.value() == checksum;
  }

 private:
  Bytes section_;
  Xxh3Stream stream_;
  std::size_t hashed_ = 0;
};

std::map<std::string, Weight, std::less<>> read_tensors(SectionReader& reader, const std::vector<WeightEntry>& entries,
                                                        TensorsChecksum& checksum) {
  std::map<std::string, Weight, std::less<>> weights;
  std::uint64_t code_bytes = 0;
  for (const WeightEntry& entry : entries) {
    if (entry.kind != 0) code_bytes += entry.code_bytes;
  }
  // What is announced beyond the section's end is not there.
  KeptCodes kept_codes(std::min<std::uint64_t>(code_bytes, reader.remaining()));
  for (const WeightEntry& entry : entries) {
    checksum.advance(reader.position() + entry.parameter_bytes + entry.code_bytes);  // below 2^64: each is at most 2^62
    weights.emplace(entry.name, get_tensor(reader, entry, kept_codes));
  }
  return weights;
}

/// The small sections of a model.
struct Sections {
  std::vector<std::byte> names;
  std::vector<std::byte> graph;
  std::vector<std::byte> metadata;
  std::vector<std::byte> weights;
};

Sections pack_sections(const Model& model) {
  const StringTable strings = collect_strings(model);
  ByteWriter names;
  ByteWriter graph;
  ByteWriter metadata;
  ByteWriter weights;
  strings.put(names);
  put_graph(graph, model.graph, strings);
  put_metadata(metadata, model);
  put_weights(weights, model, strings);
  return {std::move(names).take(), std::move(graph).take(), std::move(metadata).take(), std::move(weights).take()};
}

// There is one file per model: what the writer would not write (an unsorted list, a longer form of a number, a name nobody uses) is damage.
void check_canonical(const Model& model, const std::array<Bytes, kSectionNames.size()>& found, const std::string& source) {
  const Sections need = pack_sections(model);
  const std::array<Bytes, 4> all = {need.names, need.graph, need.metadata, need.weights};
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!std::ranges::equal(found[i], all[i])) {
      fail(ErrorCode::corrupt_file, "{}: the {} section is not in the one form that version 1 allows; write the file again with bitwright.",
           source, kSectionNames[i]);
    }
  }
}

Model parse_sections(const std::array<Bytes, kSectionNames.size()>& sections, const std::string& source, TensorsChecksum& checksum) {
  std::vector<SectionReader> readers;
  for (std::size_t i = 0; i < sections.size(); ++i) readers.emplace_back(sections[i], source, kSectionNames[i]);
  Model model;
  const StringTable strings = StringTable::get(readers[0]);
  model.graph = get_graph(readers[1], strings);
  get_metadata(readers[2], model);
  const std::vector<WeightEntry> entries = get_weights(readers[3], strings);
  model.weights = read_tensors(readers[4], entries, checksum);
  for (const SectionReader& reader : readers) reader.finish();
  return model;
}

[[noreturn]] void fail_checksum(const std::string& source, std::size_t section) {
  fail(ErrorCode::corrupt_file, "{}: the checksum of the {} section is wrong; the file is damaged, get it again.", source,
       kSectionNames[section]);
}

/// The model is not something a caller gave: its faults are the file's.
Error fault_of_file(const Error& error, const std::string& source) {
  const bool is_of_the_model = error.code() == ErrorCode::invalid_input || error.code() == ErrorCode::numerical;
  const bool names_the_file = !is_of_the_model && error.message().starts_with(source);
  return {is_of_the_model ? ErrorCode::corrupt_file : error.code(), names_the_file ? error.message() : source + ": " + error.message()};
}

}  // namespace

std::vector<std::byte> pack_model(const Model& model) {
  validate(model);
  const Sections small = pack_sections(model);
  ByteWriter tensors;
  for (const auto& [name, weight] : model.weights) put_tensor(tensors, weight);
  const std::array<Bytes, kSectionNames.size()> sections = {small.names, small.graph, small.metadata, small.weights, tensors.view()};
  std::vector<std::byte> file = pack_header(sections);
  for (const Bytes section : sections) file.insert(file.end(), section.begin(), section.end());
  return file;
}

Model unpack_model(std::span<const std::byte> file, const std::string& source) {
  const SectionTable table = read_header(file, source);
  std::array<Bytes, kSectionNames.size()> sections;
  std::uint64_t position = kHeaderBytes;
  for (std::size_t i = 0; i < table.size(); ++i) {
    sections[i] = file.subspan(static_cast<std::size_t>(position), static_cast<std::size_t>(table[i].length));
    position += table[i].length;
    // The tensors are hashed while they are decoded.
    if (i < kTensors && xxh3_64(sections[i]) != table[i].checksum) fail_checksum(source, i);
  }
  TensorsChecksum checksum(sections[kTensors]);
  std::optional<Model> model;
  try {
    model = parse_sections(sections, source, checksum);
  } catch (const Error& error) {
    // Damage explains whatever else is wrong.
    if (!checksum.matches(table[kTensors].checksum)) fail_checksum(source, kTensors);
    throw fault_of_file(error, source);
  }
  if (!checksum.matches(table[kTensors].checksum)) fail_checksum(source, kTensors);
  try {
    validate(*model);
    check_canonical(*model, sections, source);
  } catch (const Error& error) {
    throw fault_of_file(error, source);
  }
  return *std::move(model);
}

void save_packed(const std::filesystem::path& path, const Model& model) {
  write_file_atomic(path, std::span<const std::byte>(pack_model(model)));
}

Model load_packed(const std::filesystem::path& path) {
  const MappedFile file(path);
  return unpack_model(file.bytes(), path.string());
}

std::vector<PackedWeightSize> packed_weight_sizes(const Model& model) {
  const StringTable strings = collect_strings(model);
  std::vector<PackedWeightSize> sizes;
  for (const auto& [name, weight] : model.weights) {
    const WeightEntry entry = weight_entry(name, weight);
    ByteWriter directory;
    put_weight_entry(directory, entry, strings);
    sizes.push_back({.name = name,
                     .code_bytes = static_cast<std::int64_t>(entry.code_bytes),
                     .parameter_bytes = static_cast<std::int64_t>(entry.parameter_bytes),
                     .directory_bytes = static_cast<std::int64_t>(directory.size())});
  }
  return sizes;
}

}  // namespace bitwright
