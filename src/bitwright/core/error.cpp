// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"

namespace bitwright {
namespace {

std::string on_one_line(std::string_view message) {
  std::string line;
  line.reserve(message.size());
  for (const char character : message) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte < 0x20 || byte == 0x7F) {
      line += fmt::format("\\x{:02x}", static_cast<unsigned>(byte));
    } else {
      line += character;
    }
  }
  return line;
}

}  // namespace

Error::Error(ErrorCode code, std::string_view message) : code_(code), message_(on_one_line(message)) {}

int exit_code(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::check_failed: return 1;
    case ErrorCode::usage: return 2;
    case ErrorCode::invalid_input:
    case ErrorCode::corrupt_file:
    case ErrorCode::unsupported: return 3;
    case ErrorCode::io: return 4;
    case ErrorCode::numerical: return 5;
    case ErrorCode::internal: return 70;
  }
  return 70;
}

std::string_view error_code_name(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::check_failed: return "check_failed";
    case ErrorCode::usage: return "usage";
    case ErrorCode::invalid_input: return "invalid_input";
    case ErrorCode::corrupt_file: return "corrupt_file";
    case ErrorCode::unsupported: return "unsupported";
    case ErrorCode::io: return "io";
    case ErrorCode::numerical: return "numerical";
    case ErrorCode::internal: return "internal";
  }
  return "internal";
}

}  // namespace bitwright
