// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/model_source.h"

#include "bitwright/core/error.h"
#include "bitwright/model/packed_file.h"
#include "bitwright/model/safetensors.h"
#include "bitwright/model/zoo.h"

#include <functional>
#include <map>
#include <string>

namespace bitwright {
namespace {

/// Readers by ending. Filled before anything runs in parallel.
std::map<std::string, ModelReader, std::less<>>& readers() {
  static std::map<std::string, ModelReader, std::less<>> registered;
  return registered;
}

}  // namespace

void register_model_reader(std::string_view ending, ModelReader reader) {
  if (reader == nullptr) {
    readers().erase(std::string(ending));
  } else {
    readers().insert_or_assign(std::string(ending), reader);
  }
}

Model open_model(std::string_view source, std::uint64_t seed) {
  constexpr std::string_view kZoo = "zoo:";
  if (source.starts_with(kZoo)) {
    const std::string_view rest = source.substr(kZoo.size());
    const std::size_t at = rest.find('@');
    Model model = build_zoo_model(rest.substr(0, at), seed);
    if (at != std::string_view::npos) {
      const std::string path(rest.substr(at + 1));
      if (path.empty()) fail(ErrorCode::usage, "model \"{}\" names no file after the @; write zoo:NAME@weights.safetensors.", source);
      load_weights(model, read_safetensors(path), path);
    }
    return model;
  }
  if (source.ends_with(".bw")) return load_packed(std::string(source));
  std::string kinds = "FILE.bw";
  for (const auto& [ending, reader] : readers()) {
    if (source.ends_with(ending)) return reader(std::string(source));
    kinds += ", FILE" + ending;
  }
  fail(ErrorCode::usage, "model \"{}\" is not something to open (need {}, zoo:NAME or zoo:NAME@FILE.safetensors); correct it.", source,
       kinds);
}

}  // namespace bitwright
