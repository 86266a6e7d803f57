// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace bitwright::test {

enum class OracleRounding { convergent, toward_minus_infinity_on_ties, truncate_toward_zero, truncate };

/// Codes (as doubles) that SystemC's fixed-point type of this word length and integer length, sign bit in both, gives for the values with
/// saturation. Compiled as C++17, the standard that the packaged library insists on.
void systemc_codes(const double* values, std::size_t count, int word_bits, int int_bits, OracleRounding rounding, double* codes);

}  // namespace bitwright::test
