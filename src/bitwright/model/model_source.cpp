// SPDX-License-Identifier: Apache-2.0
#include "bitwright/model/model_source.h"

#include "bitwright/core/error.h"
#include "bitwright/model/packed_file.h"
#include "bitwright/model/safetensors.h"
#include "bitwright/model/zoo.h"

#include <string>

namespace bitwright {

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
  fail(ErrorCode::usage, "model \"{}\" is not something to open (need FILE.bw, zoo:NAME or zoo:NAME@FILE.safetensors); correct it.",
       source);
}

}  // namespace bitwright
