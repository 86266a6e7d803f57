// SPDX-License-Identifier: Apache-2.0
#include "bitwright/kernels/gemv_packed/gemv_packed.h"

#include "bitwright/core/error.h"
#include "bitwright/kernels/gemv_packed/functions.h"
#include "bitwright/kernels/fastest_kernel.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace bitwright {
namespace {

constexpr GemvPackedKernel kKernels[] = {
#define BITWRIGHT_GEMV_PACKED_KERNEL(isa, function) {Isa::isa, "gemv_packed:" #isa, &function},
#include "bitwright/kernels/gemv_packed/kernels.inc"
#undef BITWRIGHT_GEMV_PACKED_KERNEL
};

constexpr std::int64_t kJointTile = 64;  // tuples whose tables of one image take 8 KiB: they stay in the first-level cache

int bits_for(std::int64_t levels) { return levels <= 2 ? 1 : static_cast<int>(std::bit_width(static_cast<std::uint64_t>(levels - 1))); }

std::int64_t power(std::int64_t base, int exponent) {
  std::int64_t product = 1;
  for (int i = 0; i < exponent; ++i) product *= base;
  return product;
}

std::int64_t groups_of(std::int64_t tuples) { return (tuples + kGemvPackedGroup - 1) / kGemvPackedGroup; }

}  // namespace

std::int64_t gemv_packed_segment(std::int64_t outputs, std::int64_t inputs, std::int64_t bucket_size) noexcept {
  return bucket_size >= outputs * inputs ? inputs : std::gcd(inputs, bucket_size);
}

GemvPackedWeights::GemvPackedWeights(std::span<const std::uint8_t> codes, std::int64_t outputs, std::int64_t inputs,
                                     std::span<const float> values, const GemvBuckets& buckets)
    : table_(1) {
  if (values.empty() || values.size() > kGemvPackedMaxLevels) {
    fail(ErrorCode::invalid_input, "gemv_packed: the value table does not fit (found {} levels, need 1 to {}); use another kernel.",
         values.size(), kGemvPackedMaxLevels);
  }
  if (outputs < 1 || inputs < 1 || static_cast<std::int64_t>(codes.size()) != outputs * inputs) {
    fail(ErrorCode::invalid_input, "gemv_packed: the codes do not fill the matrix (found {}, need {} x {}); check the shape.", codes.size(),
         outputs, inputs);
  }
  const bool has_buckets = !buckets.scales.empty();
  const std::int64_t segment = has_buckets ? gemv_packed_segment(outputs, inputs, std::max<std::int64_t>(1, buckets.size)) : inputs;
  if (segment < kGemvPackedLeastSegment && segment != inputs) {
    fail(ErrorCode::invalid_input, "gemv_packed: buckets of {} cut rows of {} too often (found every {} inputs, need >= {}); use another.",
         buckets.size, inputs, segment, kGemvPackedLeastSegment);
  }
  view_.inputs = inputs;
  view_.outputs = outputs;
  view_.blocks = (outputs + kGemvPackedBlockOutputs - 1) / kGemvPackedBlockOutputs;
  view_.levels = std::max(2, static_cast<int>(values.size()));
  view_.tuple = has_buckets ? 1 : gemv_packed_tuple(view_.levels);
  view_.code_bits = bits_for(power(view_.levels, view_.tuple));
  const std::int64_t tuples = (inputs + view_.tuple - 1) / view_.tuple;
  view_.tile_tuples = view_.tuple > 1 ? std::min(kJointTile, groups_of(tuples) * kGemvPackedGroup) : segment;
  view_.tiles = (tuples + view_.tile_tuples - 1) / view_.tile_tuples;
  view_.lines_per_tile = groups_of(view_.tile_tuples) * view_.code_bits;
  const auto wrong = std::ranges::find_if(codes, [last = values.size() - 1](std::uint8_t code) { return code > last; });
  if (wrong != codes.end()) {
    fail(ErrorCode::invalid_input, "gemv_packed: a code is outside the table (found {} at index {}, need 0 to {}); check the tensor.",
         *wrong, wrong - codes.begin(), values.size() - 1);
  }
  pack_codes(codes);
  fill_table(values);
  if (has_buckets) fill_scales(buckets);
}

void GemvPackedWeights::pack_codes(std::span<const std::uint8_t> codes) {
  lines_.assign(static_cast<std::size_t>(view_.tiles * view_.blocks * view_.lines_per_tile), GemvPackedLine{});
  const int bits = view_.code_bits;
  for (std::int64_t j = 0; j < view_.outputs; ++j) {
    const std::uint8_t* row = codes.data() + j * view_.inputs;
    const auto lane = static_cast<std::size_t>(j % kGemvPackedBlockOutputs);
    for (std::int64_t tile = 0; tile < view_.tiles; ++tile) {
      // A lane's codes follow each other through the tile's lines without a gap: a group is as many whole words as a code has bits.
      GemvPackedLine* line = lines_.data() + (tile * view_.blocks + j / kGemvPackedBlockOutputs) * view_.lines_per_tile;
      const std::int64_t first = tile * view_.tile_tuples * view_.tuple;
      const std::int64_t end = std::min(view_.inputs, first + view_.tile_tuples * view_.tuple);
      std::uint64_t pending = 0;
      int pending_bits = 0;
      for (std::int64_t begin = first; begin < end; begin += view_.tuple) {
        std::uint32_t joint = 0;
        for (std::int64_t i = std::min(end, begin + view_.tuple); i > begin; --i) {
          joint = joint * static_cast<std::uint32_t>(view_.levels) + row[i - 1];
        }
        pending |= static_cast<std::uint64_t>(joint) << pending_bits;
        pending_bits += bits;
        if (pending_bits < 32) continue;
        (line++)->lane[lane] = static_cast<std::uint32_t>(pending);
        pending >>= 32;
        pending_bits -= 32;
      }
      if (pending_bits > 0) line->lane[lane] = static_cast<std::uint32_t>(pending);
    }
  }
}

void GemvPackedWeights::fill_table(std::span<const float> values) {
  GemvPackedTable& table = table_.front();
  const auto value = [&values](std::size_t code) { return code < values.size() ? values[code] : 0.0F; };
  const std::size_t period = std::size_t{1} << bits_for(view_.levels);
  for (std::size_t i = 0; i < table.value.size(); ++i) table.value[i] = value(i % period);
  table.digit = {};
  const auto joint_codes = static_cast<std::size_t>(power(view_.levels, view_.tuple));
  if (view_.tuple == 1) return;
  std::size_t place = 1;
  for (std::size_t k = 0; k < static_cast<std::size_t>(view_.tuple); ++k, place *= static_cast<std::size_t>(view_.levels)) {
    for (std::size_t e = 0; e < joint_codes; ++e) table.digit[k][e] = value(e / place % static_cast<std::size_t>(view_.levels));
  }
}

void GemvPackedWeights::fill_scales(const GemvBuckets& buckets) {
  scales_.assign(static_cast<std::size_t>(view_.tiles * view_.blocks), GemvPackedScales{});
  for (std::int64_t j = 0; j < view_.outputs; ++j) {
    for (std::int64_t tile = 0; tile < view_.tiles; ++tile) {
      const auto bucket = static_cast<std::size_t>((j * view_.inputs + tile * view_.tile_tuples) / buckets.size);
      if (bucket >= buckets.scales.size() || bucket >= buckets.mins.size()) {
        fail(ErrorCode::invalid_input, "gemv_packed: buckets are missing (found {}, need more than {}); check the tensor.",
             buckets.scales.size(), bucket);
      }
      GemvPackedScales& scales = scales_[static_cast<std::size_t>(tile * view_.blocks + j / kGemvPackedBlockOutputs)];
      const auto lane = static_cast<std::size_t>(j % kGemvPackedBlockOutputs);
      scales.scale[lane] = buckets.scales[bucket];
      scales.min[lane] = buckets.mins[bucket];
    }
  }
}

GemvPackedView GemvPackedWeights::view() const noexcept {
  GemvPackedView view = view_;
  view.lines = lines_.data();
  view.table = table_.data();
  view.scales = scales_.empty() ? nullptr : scales_.data();
  return view;
}

std::span<const GemvPackedKernel> gemv_packed_kernels() noexcept { return kKernels; }

GemvPackedChoice select_gemv_packed(const GemvPackedQuery& query, Isa isa) {
  GemvPackedChoice choice;
  if (query.batch < 1 || query.batch > kGemvPackedMaxBatch) {
    choice.refusals.push_back(fmt::format("gemv_packed: batch is {}, this kernel needs <= {}", query.batch, kGemvPackedMaxBatch));
  }
  if (query.levels < 1 || query.levels > kGemvPackedMaxLevels) {
    choice.refusals.push_back(
        fmt::format("gemv_packed: the format has {} levels, this kernel needs <= {}", query.levels, kGemvPackedMaxLevels));
  }
  if (query.segment != 0 && query.segment != query.inputs && query.segment < kGemvPackedLeastSegment) {
    choice.refusals.push_back(fmt::format("gemv_packed: buckets begin every {} inputs of a row of {}, this kernel needs >= {}",
                                          query.segment, query.inputs, kGemvPackedLeastSegment));
  }
  if (!choice.refusals.empty()) return choice;
  choice.kernel = fastest_kernel(gemv_packed_kernels(), isa, choice.refusals);
  if (choice.kernel != nullptr && query.levels > kGemvPackedRegisterLevels) {
    choice.refusals.push_back(fmt::format("{}: the format has {} levels, tables in registers need <= {}; values are gathered from memory",
                                          choice.kernel->name, query.levels, kGemvPackedRegisterLevels));
  }
  return choice;
}

}  // namespace bitwright
