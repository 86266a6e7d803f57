// SPDX-License-Identifier: Apache-2.0
#include "bitwright/kernels/gemv_int8/gemv_int8.h"

#include "bitwright/core/error.h"
#include "bitwright/kernels/gemv_int8/functions.h"
#include "bitwright/kernels/fastest_kernel.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <set>

namespace bitwright {
namespace {

constexpr GemvInt8Kernel kKernels[] = {
#define BITWRIGHT_GEMV_INT8_KERNEL(isa, function) {Isa::isa, "gemv_int8:" #isa, &function},
#include "bitwright/kernels/gemv_int8/kernels.inc"
#undef BITWRIGHT_GEMV_INT8_KERNEL
};

constexpr std::int64_t kGroupInputs = 32;
constexpr std::int64_t kDigitInputs = 20;
constexpr int kDigitPlaces[] = {84, 28, 9, 3, 1};

int bits_for(std::size_t levels) { return levels <= 2 ? 1 : static_cast<int>(std::bit_width(levels - 1)); }

/// values[i] / unit where all of these are whole and at most `limit`; empty where not.
std::vector<int> whole_multiples(std::span<const float> values, double unit, double limit) {
  std::vector<int> multiples;
  for (const float value : values) {
    const double multiple = std::nearbyint(value / unit);
    if (std::abs(multiple) > limit || multiple * unit != static_cast<double>(value)) return {};
    multiples.push_back(static_cast<int>(multiple));
  }
  return multiples;
}

/// Level of the codes whose value is +-magnitude, as that value's sign; 0 elsewhere.
GemvInt8Plane signs_of(std::span<const float> values, float magnitude) {
  GemvInt8Plane plane{.levels = {}, .scale = magnitude};
  for (const float value : values) plane.levels.push_back(std::abs(value) == magnitude ? (value < 0.0F ? -1 : 1) : 0);
  return plane;
}

}  // namespace

std::vector<GemvInt8Plane> gemv_int8_planes(std::span<const float> values) {
  std::set<float> magnitudes;
  for (const float value : values) {
    if (!std::isfinite(value)) return {};
    if (value != 0.0F) magnitudes.insert(std::abs(value));
  }
  if (magnitudes.empty()) return {{.levels = std::vector<std::int8_t>(values.size(), 0), .scale = 1.0F}};
  const float unit = *magnitudes.begin();
  if (const std::vector<int> levels = whole_multiples(values, unit, kGemvInt8MaxLevel); !levels.empty()) {
    return {{.levels = std::vector<std::int8_t>(levels.begin(), levels.end()), .scale = unit}};
  }
  constexpr int kHigh = 64;  // what a level of the second plane is worth
  if (const std::vector<int> levels = whole_multiples(values, unit, kHigh * kGemvInt8MaxLevel); !levels.empty()) {
    GemvInt8Plane low{.levels = {}, .scale = unit};
    GemvInt8Plane high{.levels = {}, .scale = unit * kHigh};
    for (const int level : levels) {
      const int upper = std::abs(level) <= kGemvInt8MaxLevel ? 0 : static_cast<int>(std::lround(static_cast<double>(level) / kHigh));
      high.levels.push_back(static_cast<std::int8_t>(upper));
      low.levels.push_back(static_cast<std::int8_t>(level - kHigh * upper));
    }
    if (std::isfinite(high.scale)) return {low, high};
  }
  if (magnitudes.size() == 2) return {signs_of(values, *magnitudes.begin()), signs_of(values, *magnitudes.rbegin())};
  return {};
}

GemvInt8Weights::GemvInt8Weights(std::span<const std::uint8_t> codes, std::int64_t outputs, std::int64_t inputs,
                                 std::span<const GemvInt8Plane> planes, GemvInt8Layout layout) {
  if (planes.empty() || planes.size() > kGemvInt8MaxPlanes) {
    fail(ErrorCode::invalid_input, "gemv_int8: wrong number of planes (found {}, need 1 to {}); use another kernel.", planes.size(),
         kGemvInt8MaxPlanes);
  }
  const std::size_t levels = planes[0].levels.size();
  const std::size_t most = layout == GemvInt8Layout::digits ? 3 : kGemvInt8MaxLevels;
  if (levels < 1 || levels > most || planes.back().levels.size() != levels) {
    fail(ErrorCode::invalid_input, "gemv_int8: the level table does not fit (found {} levels, need 1 to {}, the same in every plane); {}",
         levels, most, "use another layout or kernel.");
  }
  if (outputs < 1 || inputs < 1 || static_cast<std::int64_t>(codes.size()) != outputs * inputs || inputs > kGemvInt8MaxInputs) {
    fail(ErrorCode::invalid_input, "gemv_int8: the codes do not fill the matrix (found {}, need {} x {}, at most {} inputs); {}",
         codes.size(), outputs, inputs, kGemvInt8MaxInputs, "check the shape.");
  }
  for (const GemvInt8Plane& plane : planes) {
    for (const std::int8_t level : plane.levels) {
      if (std::abs(level) <= kGemvInt8MaxLevel) continue;
      fail(ErrorCode::invalid_input, "gemv_int8: a level is too large (found {}, need -{} to {}); sums of pairs would overflow.", level,
           kGemvInt8MaxLevel, kGemvInt8MaxLevel);
    }
  }
  const auto wrong = std::ranges::find_if(codes, [levels](std::uint8_t code) { return code >= levels; });
  if (wrong != codes.end()) {
    fail(ErrorCode::invalid_input, "gemv_int8: a code is outside the table (found {} at index {}, need 0 to {}); check the tensor.", *wrong,
         wrong - codes.begin(), levels - 1);
  }
  view_.inputs = inputs;
  view_.outputs = outputs;
  view_.layout = layout;
  view_.planes = static_cast<int>(planes.size());
  view_.code_bits = layout == GemvInt8Layout::digits ? 2 : bits_for(levels);
  for (std::size_t p = 0; p < planes.size(); ++p) {
    plane_scales_[p] = planes[p].scale;
    const auto level_of = [&](std::size_t code) { return code < levels ? planes[p].levels[code] : std::int8_t{0}; };
    GemvInt8Table& table = tables_.emplace_back();
    for (std::size_t i = 0; i < 64; ++i) table.level[i] = level_of(i % (std::size_t{1} << view_.code_bits));
    for (std::int64_t j = 0; j < outputs; ++j) {
      std::int32_t sum = 0;
      for (std::int64_t i = 0; i < inputs; ++i) sum += level_of(static_cast<std::size_t>(codes[static_cast<std::size_t>(j * inputs + i)]));
      level_sums_.push_back(sum);
    }
  }
  layout == GemvInt8Layout::digits ? pack_digits(codes) : pack_bits(codes);
}

void GemvInt8Weights::pack_bits(std::span<const std::uint8_t> codes) {
  const int bits = view_.code_bits;
  const int low_bits = bits >= 4 ? 4 : bits >= 2 ? 2 : 1;
  view_.lines_per_block = (view_.inputs + kGroupInputs - 1) / kGroupInputs * bits;
  lines_.assign(static_cast<std::size_t>(block_count() * view_.lines_per_block), GemvInt8Line{});
  for (std::int64_t j = 0; j < view_.outputs; ++j) {
    for (std::int64_t i = 0; i < view_.inputs; ++i) {
      const auto code = static_cast<unsigned>(codes[static_cast<std::size_t>(j * view_.inputs + i)]);
      GemvInt8Line* lines = lines_.data() + j / 16 * view_.lines_per_block + i / kGroupInputs * bits;
      const std::int64_t step = i % kGroupInputs / 4;
      const auto byte = static_cast<std::size_t>(j % 16 * 4 + i % 4);
      const auto put = [&](GemvInt8Line* part, int width, unsigned value) {
        const std::int64_t per_line = 8 / width;
        part[step / per_line].byte[byte] |= static_cast<std::uint8_t>(value << (width * (step % per_line)));
      };
      put(lines, low_bits, code % (1U << low_bits));
      if (bits > low_bits) put(lines + low_bits, bits - low_bits, code >> low_bits);
    }
  }
}

void GemvInt8Weights::pack_digits(std::span<const std::uint8_t> codes) {
  view_.lines_per_block = (view_.inputs + kDigitInputs - 1) / kDigitInputs;
  lines_.assign(static_cast<std::size_t>(block_count() * view_.lines_per_block), GemvInt8Line{});
  for (std::int64_t j = 0; j < view_.outputs; ++j) {
    for (std::int64_t i = 0; i < view_.inputs; ++i) {
      GemvInt8Line& line = lines_[static_cast<std::size_t>(j / 16 * view_.lines_per_block + i / kDigitInputs)];
      const int place = kDigitPlaces[i % kDigitInputs / 4];
      line.byte[static_cast<std::size_t>(j % 16 * 4 + i % 4)] +=
          static_cast<std::uint8_t>(codes[static_cast<std::size_t>(j * view_.inputs + i)] * place);
    }
  }
  GemvInt8Table& upper = digit_tables_.emplace_back();
  for (int i = 0; i < 64; ++i) upper.level[static_cast<std::size_t>(i)] = static_cast<std::int8_t>(4 * i / 84 * 84 + 4 * i % 84 / 28 * 28);
  for (const GemvInt8Table& table : std::vector<GemvInt8Table>(tables_)) {
    for (int d = 0; d < 5; ++d) {
      GemvInt8Table& digit = digit_tables_.emplace_back();
      for (int i = 0; i < 64; ++i) {
        const int above = d == 0 ? 256 : kDigitPlaces[d - 1];
        const int rest = (d < 2 ? 4 * i : d == 2 ? i : i % above) % above;
        digit.level[static_cast<std::size_t>(i)] = table.level[static_cast<std::size_t>(rest / kDigitPlaces[d] % 4)];
      }
    }
  }
}

GemvInt8View GemvInt8Weights::view() const noexcept {
  GemvInt8View view = view_;
  view.lines = lines_.data();
  view.tables = tables_.data();
  view.digit_tables = digit_tables_.empty() ? nullptr : digit_tables_.data();
  view.level_sums = level_sums_.data();
  return view;
}

std::span<const GemvInt8Kernel> gemv_int8_kernels() noexcept { return kKernels; }

GemvInt8Choice select_gemv_int8(const GemvInt8Query& query, Isa isa) {
  GemvInt8Choice choice;
  const auto refuse = [&choice](std::string why) { choice.refusals.push_back("gemv_int8: " + std::move(why)); };
  if (query.batch < 1 || query.batch > kGemvInt8MaxBatch) {
    refuse(fmt::format("batch is {}, this kernel needs <= {}", query.batch, kGemvInt8MaxBatch));
  }
  if (query.inputs > kGemvInt8MaxInputs) {
    refuse(fmt::format("a row has {} inputs, this kernel needs <= {}: int32 would overflow", query.inputs, kGemvInt8MaxInputs));
  }
  if (query.levels < 1 || query.levels > kGemvInt8MaxLevels) {
    refuse(fmt::format("the format has {} levels, this kernel needs <= {}", query.levels, kGemvInt8MaxLevels));
  } else if (query.planes < 1 || query.planes > kGemvInt8MaxPlanes) {
    refuse("the values are no small multiples of one or two numbers, this kernel needs integers");
  }
  if (!choice.refusals.empty()) return choice;
  choice.kernel = fastest_kernel(gemv_int8_kernels(), isa, choice.refusals);
  return choice;
}

void gemv_int8_finish(const GemvInt8Epilogue& epilogue, const std::int32_t* sums, std::int64_t outputs, std::int64_t begin,
                      std::int64_t end, float* y) noexcept {
  const bool has_two = epilogue.plane_scales.size() > 1;
  const float first = epilogue.plane_scales[0];
  const float second = has_two ? epilogue.plane_scales[1] : 0.0F;
  for (std::int64_t j = begin; j < end; ++j) {
    float value = first * static_cast<float>(sums[j]);
    if (has_two) value = value + second * static_cast<float>(sums[outputs + j]);
    y[j] = epilogue.bias[j] + epilogue.scale[j] * value;
  }
}

}  // namespace bitwright
