// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/checksum.h"

#include "bitwright/core/bytes.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace bitwright {
namespace {

// FIPS 180-2, appendix B.
TEST(Sha256, KnownAnswers) {
  EXPECT_EQ(sha256_hex({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex(as_bytes("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex(as_bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

// The value of the empty input is in xxHash's own sanity test; the others guard the choice of seed and variant.
TEST(Xxh3, KnownAnswers) {
  EXPECT_EQ(xxh3_64({}), 0x2D06800538D394C2ULL);
  EXPECT_EQ(xxh3_64(as_bytes("abc")), 0x78AF5F94892F3950ULL);
}

TEST(Xxh3, PartsGiveWhatTheWholeGives) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += static_cast<char>(i * 7 + i / 256);
  for (const std::size_t part : {1, 3, 64, 255, 1024, 4999, 5000}) {
    Xxh3Stream stream;
    for (std::size_t first = 0; first < text.size(); first += part)
      stream.update(as_bytes(text).subspan(first, std::min(part, text.size() - first)));
    EXPECT_EQ(stream.value(), xxh3_64(as_bytes(text))) << part;
  }
  EXPECT_EQ(Xxh3Stream().value(), xxh3_64({}));
}

TEST(Xxh3, OneFlippedBitChangesIt) {
  std::string text(300, 'x');
  const std::uint64_t before = xxh3_64(as_bytes(text));
  for (std::size_t i = 0; i < text.size(); ++i) {
    text[i] = static_cast<char>(text[i] ^ 1);
    EXPECT_NE(xxh3_64(as_bytes(text)), before) << i;
    text[i] = 'x';
  }
}

}  // namespace
}  // namespace bitwright
