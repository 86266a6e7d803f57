// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/rng.h"

#include <cmath>
#include <numbers>

namespace bitwright {
namespace {

// FNV-1a spreads the purpose's characters; SplitMix64's finalizer then makes nearby keys unrelated.
std::uint64_t hash_text(std::string_view text) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3ULL;
  }
  return hash;
}

std::uint64_t mix(std::uint64_t x) noexcept {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

constexpr std::uint32_t lo32(std::uint64_t x) noexcept { return static_cast<std::uint32_t>(x); }
constexpr std::uint32_t hi32(std::uint64_t x) noexcept { return static_cast<std::uint32_t>(x >> 32); }

}  // namespace

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) noexcept {
  constexpr std::uint64_t kMul0 = 0xD2511F53;
  constexpr std::uint64_t kMul1 = 0xCD9E8D57;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9;
  constexpr std::uint32_t kWeyl1 = 0xBB67AE85;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = kMul0 * counter[0];
    const std::uint64_t p1 = kMul1 * counter[2];
    counter = {hi32(p1) ^ counter[1] ^ key[0], lo32(p1), hi32(p0) ^ counter[3] ^ key[1], lo32(p0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

Rng::Rng(std::uint64_t seed, std::string_view purpose, std::uint64_t step) noexcept
    : key_(mix(mix(seed) ^ hash_text(purpose))), step_(step) {}

Rng Rng::split(std::string_view purpose) const noexcept { return Rng(mix(key_ ^ hash_text(purpose)), step_); }

Rng Rng::at_step(std::uint64_t step) const noexcept { return Rng(key_, step); }

std::array<std::uint32_t, 4> Rng::block(std::uint64_t index) const noexcept {
  return philox4x32({lo32(index), hi32(index), lo32(step_), hi32(step_)}, {lo32(key_), hi32(key_)});
}

std::uint32_t Rng::bits32(std::uint64_t index) const noexcept { return block(index)[0]; }

std::uint64_t Rng::bits64(std::uint64_t index) const noexcept {
  const auto words = block(index);
  return (std::uint64_t{words[1]} << 32) | words[0];
}

std::uint32_t Rng::word(std::uint64_t index) const noexcept { return block(index / 4)[static_cast<std::size_t>(index % 4)]; }

std::uint64_t Rng::word_pair(std::uint64_t index) const noexcept {
  const auto words = block(index / 2);
  const std::size_t first = index % 2 * 2;
  return (std::uint64_t{words[first + 1]} << 32) | words[first];
}

double Rng::uniform01(std::uint64_t index) const noexcept { return bits32(index) * 0x1.0p-32; }

std::uint64_t Rng::below(std::uint64_t index, std::uint64_t bound) const noexcept {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>((static_cast<Wide>(bits64(index)) * bound) >> 64);
}

double Rng::normal(std::uint64_t index) const noexcept {
  const auto words = block(index);
  const double u = static_cast<double>((std::uint64_t{words[0]} << 21 | words[1] >> 11) + 1) * 0x1.0p-53;  // in (0, 1]: log is finite
  const double v = words[2] * 0x1.0p-32;
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

}  // namespace bitwright
