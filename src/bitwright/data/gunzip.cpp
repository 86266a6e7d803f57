// SPDX-License-Identifier: Apache-2.0
#include "bitwright/data/gunzip.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"

#include <zlib.h>

#include <limits>
#include <new>

namespace bitwright {

std::vector<std::byte> gunzip(std::span<const std::byte> compressed, std::uint64_t bytes, std::string_view source) {
  constexpr std::uint64_t kMost = std::numeric_limits<uInt>::max() - 1;
  BITWRIGHT_ASSERT(bytes < kMost);
  if (compressed.size() > kMost) {
    fail(ErrorCode::corrupt_file, "{}: the gzip file is too big (found {} bytes, need at most {}); get it again.", source,
         compressed.size(), kMost);
  }
  std::vector<std::byte> content(bytes + 1);  // the one byte more shows that a stream is too long
  z_stream stream{};
  constexpr int kGzipOnly = 16 + MAX_WBITS;
  if (inflateInit2(&stream, kGzipOnly) != Z_OK) throw std::bad_alloc();
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(compressed.data()));
  stream.avail_in = static_cast<uInt>(compressed.size());
  stream.next_out = reinterpret_cast<Bytef*>(content.data());
  stream.avail_out = static_cast<uInt>(content.size());
  const int status = inflate(&stream, Z_FINISH);
  const std::uint64_t found = stream.total_out;
  inflateEnd(&stream);
  if (status == Z_STREAM_END ? found != bytes : found > bytes) {
    fail(ErrorCode::corrupt_file, "{}: the content has the wrong size (found {}{} bytes, need {}); get it again.", source,
         status == Z_STREAM_END ? "" : "more than ", status == Z_STREAM_END ? found : bytes, bytes);
  }
  if (status != Z_STREAM_END) fail(ErrorCode::corrupt_file, "{}: this is no whole gzip file; get it again.", source);
  content.pop_back();
  return content;
}

}  // namespace bitwright
