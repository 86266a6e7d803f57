// SPDX-License-Identifier: Apache-2.0
#include "bitwright/kernels/isa.h"

#include "bitwright/kernels/fixed_point/fixed_point.h"
#include "bitwright/kernels/gemv_packed/gemv_packed.h"
#include "tests/support/expect_error.h"

#include <gmock/gmock.h>
#include <stdlib.h>

#include <algorithm>

namespace bitwright {
namespace {

using test::expect_error;

constexpr Isa kAll[] = {
#define BITWRIGHT_ISA_ENTRY(name) Isa::name,
#include "bitwright/kernels/isa.inc"
#undef BITWRIGHT_ISA_ENTRY
};

// Sets BITWRIGHT_ISA for one test and puts back what was there.
class ForcedIsa {
 public:
  explicit ForcedIsa(const char* name) {
    const char* before = ::getenv("BITWRIGHT_ISA");
    if (before != nullptr) before_ = before;
    if (name == nullptr) {
      ::unsetenv("BITWRIGHT_ISA");
    } else {
      ::setenv("BITWRIGHT_ISA", name, 1);
    }
  }
  ~ForcedIsa() {
    if (before_.empty()) {
      ::unsetenv("BITWRIGHT_ISA");
    } else {
      ::setenv("BITWRIGHT_ISA", before_.c_str(), 1);
    }
  }

 private:
  std::string before_;
};

TEST(Isa, ForcedOneIsActiveAndItsKernelIsChosen) {
  for (const Isa isa : available_isas()) {
    const ForcedIsa forced(std::string(isa_name(isa)).c_str());
    EXPECT_EQ(active_isa(), isa);
    const GemvPackedChoice choice = select_gemv_packed({.batch = 1, .levels = 17}, active_isa());
    ASSERT_NE(choice.kernel, nullptr);
    // A family without a kernel of its own for an instruction set uses the next lower one.
    const Isa own = std::min(isa, Isa::avx512);
    EXPECT_EQ(choice.kernel->isa, own);
    EXPECT_EQ(choice.kernel->name, "gemv_packed:" + std::string(isa_name(own)));
    EXPECT_EQ(select_fixed_point(active_isa()).isa, std::min(isa, Isa::avx512_vnni));
  }
}

TEST(Isa, UnknownNameIsUsageError) {
  const ForcedIsa forced("avx9");
  expect_error(ErrorCode::usage,
               "BITWRIGHT_ISA: unknown instruction set (found \"avx9\", need one of: scalar, neon, sse4, avx2, avx512, avx512_vnni, "
               "avx512_vbmi); correct the environment variable.",
               [] { (void)active_isa(); });
}

TEST(Isa, OneThatThisProcessorLacksIsUnsupported) {
  const std::vector<Isa> available = available_isas();
  int missing = 0;
  for (const Isa isa : kAll) {
    if (std::ranges::count(available, isa) != 0) continue;
    ++missing;
    const ForcedIsa forced(std::string(isa_name(isa)).c_str());
    const auto error = test::error_of([] { (void)active_isa(); });
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code(), ErrorCode::unsupported);
    EXPECT_THAT(error->message(), ::testing::StartsWith("BITWRIGHT_ISA: this processor does not offer the instruction set (found \"" +
                                                        std::string(isa_name(isa)) + "\", need one of: scalar"));
  }
  EXPECT_GT(missing, 0);  // no processor has both neon and sse4
}

TEST(Isa, WithoutTheVariableTheFastestIsActive) {
  for (const char* empty : {static_cast<const char*>(nullptr), ""}) {
    const ForcedIsa forced(empty);
    EXPECT_EQ(active_isa(), available_isas().back());
  }
}

TEST(Isa, NamesRoundTripAndScalarIsAlwaysThere) {
  for (const Isa isa : kAll) EXPECT_EQ(parse_isa(isa_name(isa)), isa);
  EXPECT_EQ(available_isas().front(), Isa::scalar);
  EXPECT_TRUE(isa_available(Isa::scalar));
}

}  // namespace
}  // namespace bitwright
