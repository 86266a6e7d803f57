// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/limits.h"
#include "bitwright/model/packed/sections.h"

namespace bitwright {
namespace {

void put_floats(ByteWriter& writer, const std::vector<float>& values) {
  put_count(writer, values.size(), limits::kMaxChannels, "channels of the input transform");
  for (const float value : values) writer.f32(value);
}

std::vector<float> get_floats(ByteReader& reader) {
  const std::uint64_t count = get_count(reader, limits::kMaxChannels, "channels of the input transform");
  std::vector<float> values;
  for (std::uint64_t i = 0; i < count; ++i) values.push_back(reader.f32());
  return values;
}

}  // namespace

void put_metadata(ByteWriter& writer, const Model& model) {
  put_floats(writer, model.input_transform.mean);
  put_floats(writer, model.input_transform.std);
  put_count(writer, model.class_names.size(), limits::kMaxClassNames, "class names");
  for (const std::string& name : model.class_names) put_text(writer, name, limits::kMaxNameBytes, "bytes of a class name");
  put_count(writer, model.notes.size(), limits::kMaxNotes, "notes");
  for (const auto& [key, note] : model.notes) {
    put_text(writer, key, limits::kMaxNameBytes, "bytes of a note's name");
    put_text(writer, note, limits::kMaxTextBytes, "bytes of a note");
  }
}

void get_metadata(ByteReader& reader, Model& model) {
  model.input_transform.mean = get_floats(reader);
  model.input_transform.std = get_floats(reader);
  const std::uint64_t classes = get_count(reader, limits::kMaxClassNames, "class names");
  for (std::uint64_t i = 0; i < classes; ++i) model.class_names.push_back(get_text(reader, limits::kMaxNameBytes, "bytes of a class name"));
  const std::uint64_t notes = get_count(reader, limits::kMaxNotes, "notes");
  for (std::uint64_t i = 0; i < notes; ++i) {
    std::string key = get_text(reader, limits::kMaxNameBytes, "bytes of a note's name");
    model.notes.insert_or_assign(std::move(key), get_text(reader, limits::kMaxTextBytes, "bytes of a note"));
  }
}

}  // namespace bitwright
