// SPDX-License-Identifier: Apache-2.0
#include "bitwright/data/gunzip.h"

#include "bitwright/core/bytes.h"
#include "tests/support/expect_error.h"

#include <gtest/gtest.h>

#include <string>

namespace bitwright {
namespace {

using test::expect_error;

// printf 'bitwright' | gzip -n9
constexpr std::string_view kCompressed(
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x4b\xca\x2c\x29\x2f\xca\x4c\xcf\x28\x01\x00\x54\x4d\xd0\x27\x09\x00\x00\x00", 29);

TEST(GunzipTest, GivesTheContent) {
  const std::vector<std::byte> content = gunzip(as_bytes(kCompressed), 9, "x.gz");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(content.data()), content.size()), "bitwright");
}

TEST(GunzipTest, RefusesEveryTruncation) {
  for (std::size_t bytes = 0; bytes < kCompressed.size(); ++bytes) {
    expect_error(ErrorCode::corrupt_file, "x.gz: this is no whole gzip file; get it again.",
                 [&] { static_cast<void>(gunzip(as_bytes(kCompressed.substr(0, bytes)), 9, "x.gz")); });
  }
}

TEST(GunzipTest, RefusesADamagedChecksum) {
  std::string damaged(kCompressed);
  damaged[damaged.size() - 6] = static_cast<char>(damaged[damaged.size() - 6] ^ 1);
  expect_error(ErrorCode::corrupt_file, "x.gz: this is no whole gzip file; get it again.",
               [&] { static_cast<void>(gunzip(as_bytes(damaged), 9, "x.gz")); });
}

TEST(GunzipTest, RefusesAnotherSize) {
  expect_error(ErrorCode::corrupt_file, "x.gz: the content has the wrong size (found 9 bytes, need 10); get it again.",
               [] { static_cast<void>(gunzip(as_bytes(kCompressed), 10, "x.gz")); });
  expect_error(ErrorCode::corrupt_file, "x.gz: the content has the wrong size (found 9 bytes, need 8); get it again.",
               [] { static_cast<void>(gunzip(as_bytes(kCompressed), 8, "x.gz")); });
  expect_error(ErrorCode::corrupt_file, "x.gz: the content has the wrong size (found more than 4 bytes, need 4); get it again.",
               [] { static_cast<void>(gunzip(as_bytes(kCompressed), 4, "x.gz")); });
}

}  // namespace
}  // namespace bitwright
