// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bitwright {

/// What the values between the operators of a session are held and multiplied in (docs/runtime.md, "Activation modes").
enum class Activations : std::uint8_t {
  float32,   ///< the reference: nothing is rounded to fewer bits
  bfloat16,  ///< 8 significant bits; sums stay float32
  int8,      ///< 8-bit codes with one calibrated scale per value; sums are exact integers
};

[[nodiscard]] std::string_view activations_name(Activations activations) noexcept;
/// Throws: `Error(usage)` on an unknown name (lists the known ones).
[[nodiscard]] Activations parse_activations(std::string_view name);

/// Why this processor can't run a mode, e.g. `int8: this processor lacks AVX-512 VNNI`; empty when it can. A session then runs in float32.
[[nodiscard]] std::string activations_refusal(Activations activations);

/// How a value lies in memory.
enum class ValueType : std::uint8_t { float32, bfloat16, uint8, int8 };

[[nodiscard]] std::string_view value_type_name(ValueType type) noexcept;
[[nodiscard]] constexpr bool is_code(ValueType type) noexcept { return type == ValueType::uint8 || type == ValueType::int8; }

/// Type of a value, and for codes their step: value = code * scale.
struct ValueForm {
  ValueType type = ValueType::float32;
  float scale = 1.0F;
  friend bool operator==(const ValueForm&, const ValueForm&) = default;
};

}  // namespace bitwright
