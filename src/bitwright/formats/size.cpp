// SPDX-License-Identifier: Apache-2.0
#include "bitwright/formats/size.h"

#include "bitwright/core/assert.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <queue>
#include <unordered_map>
#include <utility>

namespace bitwright {
namespace {

constexpr int kLengthBits = 5;
constexpr int kLongestCode = (1 << kLengthBits) - 1;

/// How often each code occurs, by ascending code.
std::vector<std::int64_t> counts_of(std::span<const std::int32_t> codes) {
  std::unordered_map<std::int32_t, std::int64_t> count_by_code;
  for (const std::int32_t code : codes) ++count_by_code[code];
  std::vector<std::pair<std::int32_t, std::int64_t>> sorted(count_by_code.begin(), count_by_code.end());
  std::ranges::sort(sorted);
  std::vector<std::int64_t> counts;
  for (const auto& [code, count] : sorted) counts.push_back(count);
  return counts;
}

}  // namespace

double entropy_bits_per_code(std::span<const std::int32_t> codes) {
  const auto total = static_cast<double>(codes.size());
  double entropy = 0.0;
  for (const std::int64_t count : counts_of(codes)) {
    const double p = static_cast<double>(count) / total;
    entropy -= p * std::log2(p);
  }
  return entropy + 0.0;  // -0 of a constant tensor becomes 0
}

std::vector<int> huffman_code_lengths(std::span<const std::int64_t> counts) {
  // Nodes: the symbols that occur, then inner nodes in the order in which they are made, so a parent's number is above its children's.
  struct Open {
    std::int64_t count;
    std::size_t node;
    bool operator>(const Open& other) const noexcept { return std::pair(count, node) > std::pair(other.count, other.node); }
  };
  std::vector<std::size_t> symbols;
  std::priority_queue<Open, std::vector<Open>, std::greater<>> open;
  for (std::size_t symbol = 0; symbol < counts.size(); ++symbol) {
    BITWRIGHT_ASSERT(counts[symbol] >= 0);
    if (counts[symbol] == 0) continue;
    open.push({counts[symbol], symbols.size()});
    symbols.push_back(symbol);
  }
  std::vector<int> lengths(counts.size(), 0);
  if (symbols.size() == 1) lengths[symbols.front()] = 1;  // a tree of one leaf would give 0 bits
  if (symbols.size() < 2) return lengths;

  std::vector<std::size_t> parent(2 * symbols.size() - 1, 0);
  std::size_t next = symbols.size();
  while (open.size() > 1) {
    const Open first = open.top();
    open.pop();
    const Open second = open.top();
    open.pop();
    parent[first.node] = next;
    parent[second.node] = next;
    open.push({first.count + second.count, next++});
  }
  std::vector<int> depth(parent.size(), 0);
  for (std::size_t node = parent.size() - 1; node-- > 0;) depth[node] = depth[parent[node]] + 1;
  for (std::size_t leaf = 0; leaf < symbols.size(); ++leaf) lengths[symbols[leaf]] = depth[leaf];
  return lengths;
}

std::int64_t huffman_size_bits(std::span<const std::int32_t> codes, std::int64_t code_count) {
  const std::vector<std::int64_t> counts = counts_of(codes);
  BITWRIGHT_ASSERT(static_cast<std::int64_t>(counts.size()) <= code_count);
  std::vector<std::int64_t> flattened = counts;
  std::vector<int> lengths = huffman_code_lengths(flattened);
  while (!lengths.empty() && std::ranges::max(lengths) > kLongestCode) {
    for (std::int64_t& count : flattened) count = (count + 1) / 2;
    lengths = huffman_code_lengths(flattened);
  }
  std::int64_t bits = kLengthBits * code_count;
  for (std::size_t i = 0; i < counts.size(); ++i) bits += counts[i] * lengths[i];
  return bits;
}

double zero_flag_bits_per_code(std::span<const std::int32_t> codes, int bits) noexcept {
  if (codes.empty()) return 0.0;
  const double zeros = static_cast<double>(std::ranges::count(codes, 0)) / static_cast<double>(codes.size());
  return zeros + (1.0 - zeros) * bits;
}

}  // namespace bitwright
