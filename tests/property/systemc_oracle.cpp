// SPDX-License-Identifier: Apache-2.0
#include "tests/property/systemc_oracle.h"

#define SC_INCLUDE_FX
#include <systemc>

#include <cmath>

// SystemC's library calls this from a main of its own, which is not used here.
int sc_main(int, char**) { return 0; }

namespace bitwright::test {
namespace {

sc_dt::sc_q_mode mode_of(OracleRounding rounding) {
  switch (rounding) {
    case OracleRounding::convergent: return sc_dt::SC_RND_CONV;
    case OracleRounding::toward_minus_infinity_on_ties: return sc_dt::SC_RND_MIN_INF;
    case OracleRounding::truncate_toward_zero: return sc_dt::SC_TRN_ZERO;
    case OracleRounding::truncate: return sc_dt::SC_TRN;
  }
  return sc_dt::SC_TRN;
}

}  // namespace

void systemc_codes(const double* values, std::size_t count, int word_bits, int int_bits, OracleRounding rounding, double* codes) {
  sc_dt::sc_fix number(word_bits, int_bits, mode_of(rounding), sc_dt::SC_SAT);
  for (std::size_t i = 0; i < count; ++i) {
    number = values[i];
    codes[i] = std::ldexp(number.to_double(), word_bits - int_bits);
  }
}

}  // namespace bitwright::test
