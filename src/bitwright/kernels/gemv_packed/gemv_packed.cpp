// SPDX-License-Identifier: Apache-2.0
#include "bitwright/kernels/gemv_packed/gemv_packed.h"

#include "bitwright/core/error.h"
#include "bitwright/kernels/gemv_packed/functions.h"

#include <bit>

namespace bitwright {
namespace {

constexpr GemvPackedKernel kKernels[] = {
#define BITWRIGHT_GEMV_PACKED_KERNEL(isa, function) {Isa::isa, "gemv_packed:" #isa, &function},
#include "bitwright/kernels/gemv_packed/kernels.inc"
#undef BITWRIGHT_GEMV_PACKED_KERNEL
};

int bits_for(std::size_t levels) { return levels <= 2 ? 1 : static_cast<int>(std::bit_width(levels - 1)); }

}  // namespace

GemvPackedWeights::GemvPackedWeights(std::span<const std::int32_t> codes, std::int64_t outputs, std::int64_t inputs,
                                     std::span<const float> values)
    : table_(1), outputs_(outputs), inputs_(inputs), lines_per_block_(0), code_bits_(bits_for(values.size())) {
  if (values.empty() || values.size() > kGemvPackedMaxLevels) {
    fail(ErrorCode::invalid_input, "gemv_packed: the value table does not fit (found {} levels, need 1 to {}); use another kernel.",
         values.size(), kGemvPackedMaxLevels);
  }
  if (outputs < 1 || inputs < 1 || static_cast<std::int64_t>(codes.size()) != outputs * inputs) {
    fail(ErrorCode::invalid_input, "gemv_packed: the codes do not fill the matrix (found {}, need {} x {}); check the shape.", codes.size(),
         outputs, inputs);
  }
  const std::int64_t per_word = gemv_packed_codes_per_word(code_bits_);
  lines_per_block_ = (inputs + per_word - 1) / per_word;
  lines_.assign(static_cast<std::size_t>(block_count() * lines_per_block_), GemvPackedLine{});
  for (std::int64_t j = 0; j < outputs; ++j) {
    for (std::int64_t i = 0; i < inputs; ++i) {
      const std::int32_t code = codes[static_cast<std::size_t>(j * inputs + i)];
      if (code < 0 || static_cast<std::size_t>(code) >= values.size()) {
        fail(ErrorCode::invalid_input, "gemv_packed: a code is outside the table (found {} at index {}, need 0 to {}); check the tensor.",
             code, j * inputs + i, values.size() - 1);
      }
      GemvPackedLine& line = lines_[static_cast<std::size_t>((j / 16) * lines_per_block_ + i / per_word)];
      line.lane[static_cast<std::size_t>(j % 16)] |= static_cast<std::uint32_t>(code) << (code_bits_ * (i % per_word));
    }
  }
  const std::size_t period = std::size_t{1} << code_bits_;
  for (std::size_t i = 0; i < kGemvPackedMaxLevels; ++i) {
    const std::size_t code = i % period;
    table_.front().value[i] = code < values.size() ? values[code] : 0.0F;
  }
}

GemvPackedView GemvPackedWeights::view() const noexcept {
  return {.lines = lines_.data(),
          .table = table_.data(),
          .lines_per_block = lines_per_block_,
          .inputs = inputs_,
          .outputs = outputs_,
          .code_bits = code_bits_};
}

std::int64_t GemvPackedWeights::block_count() const noexcept { return (outputs_ + kGemvPackedBlockOutputs - 1) / kGemvPackedBlockOutputs; }

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
  if (query.tables != 1) {
    choice.refusals.push_back(fmt::format("gemv_packed: the weight has {} buckets, this kernel needs 1", query.tables));
  }
  if (!choice.refusals.empty()) return choice;
  const std::span<const GemvPackedKernel> kernels = gemv_packed_kernels();
  for (auto kernel = kernels.rbegin(); kernel != kernels.rend(); ++kernel) {
    if (kernel->isa <= isa && isa_available(kernel->isa)) {
      choice.kernel = &*kernel;
      return choice;
    }
    choice.refusals.push_back(
        fmt::format("{}: the instruction set is {}, this kernel needs {}", kernel->name, isa_name(isa), isa_name(kernel->isa)));
  }
  return choice;
}

}  // namespace bitwright
