// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/kernels/gemv_packed/gemv_packed.h"
#include "bitwright/runtime/code_table.h"
#include "bitwright/runtime/plan_builder.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bitwright {

/// Which index of a stored matrix runs slowest.
enum class MatrixOrder : std::uint8_t {
  by_output,  ///< [outputs, inputs], as Gemm has it
  by_input,   ///< [inputs, outputs], as MatMul has it
};

/// Whether a kernel multiplies `rows` rows straight by a weight's codes.
struct PackedChoice {
  std::optional<CodeTable> table;  ///< of the weight; nothing when no kernel does
  const GemvPackedKernel* kernel = nullptr;
  MatrixOrder order = MatrixOrder::by_output;
  std::vector<std::string> refusals;  ///< of faster kernels, or of all
};
[[nodiscard]] PackedChoice choose_packed(const Weight& weight, MatrixOrder order, std::int64_t rows);

/// The weight as the kernels want it. Requires: `choice` has a table.
[[nodiscard]] GemvPackedWeights pack_weights(const PackedChoice& choice, std::int64_t outputs, std::int64_t inputs);

/// The same question alone, without making the table.
[[nodiscard]] bool has_packed_kernel(const Weight& weight, MatrixOrder order, std::int64_t rows);

/// A matrix of `rows` x `inputs` times packed weights of `outputs` x `inputs`.
struct PackedProduct {
  std::shared_ptr<const GemvPackedWeights> weights;
  std::int64_t rows = 0;
  std::int64_t inputs = 0;
  std::int64_t outputs = 0;
};

/// Adds the product as a step that makes the value `tail.output`, row-major: relu(tail.scale * x + bias + residual). `src` is row-major,
/// and `bias` has the tail's scale and shift in it already. Requires: `choice` has a kernel.
void add_packed_product(PlanBuilder& builder, const Node& node, const PackedChoice& choice, const PackedProduct& product,
                        const PlannedValue& src, const FusedTail& tail, std::vector<float> bias);

}  // namespace bitwright
