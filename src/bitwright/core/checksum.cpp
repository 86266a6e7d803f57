// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/checksum.h"

#include "bitwright/core/error.h"

#include <openssl/evp.h>
#define XXH_STATIC_LINKING_ONLY  // XXH3_state_t as a complete type
#include <xxhash.h>

#include <array>

namespace bitwright {

std::uint64_t xxh3_64(std::span<const std::byte> content) noexcept { return XXH3_64bits(content.data(), content.size()); }

struct Xxh3Stream::State {
  alignas(64) XXH3_state_t xxh;
};

Xxh3Stream::Xxh3Stream() : state_(std::make_unique<State>()) { XXH3_64bits_reset(&state_->xxh); }
Xxh3Stream::~Xxh3Stream() = default;
void Xxh3Stream::update(std::span<const std::byte> part) noexcept { XXH3_64bits_update(&state_->xxh, part.data(), part.size()); }
std::uint64_t Xxh3Stream::value() const noexcept { return XXH3_64bits_digest(&state_->xxh); }

std::string sha256_hex(std::span<const std::byte> content) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  if (EVP_Digest(content.data(), content.size(), digest.data(), &length, EVP_sha256(), nullptr) != 1 || length != 32) {
    fail(ErrorCode::unsupported, "sha256: the OpenSSL library refuses SHA-256; check its configuration.");
  }
  std::string text;
  text.reserve(64);
  for (unsigned int i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

}  // namespace bitwright
