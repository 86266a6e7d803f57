// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/ops/pixel_fold.h"

#include "bitwright/core/rng.h"

#include <gtest/gtest.h>

namespace bitwright {
namespace {

// One row of pixels, channels last, with kernels of one row or more that all see this row: y is what the heights add up to.
struct Row {
  std::int64_t width;
  std::int64_t channels;
  std::int64_t outputs;
  std::int64_t kernel;
  std::int64_t stride;
  std::int64_t pad;
  std::int64_t out_width;
};

// dst[x][o] = sum of weights[o][c][y][k] * src[x * stride + k - pad][c] over y in [0, heights).
std::vector<std::int64_t> convolve(const Row& row, std::int64_t heights, const std::vector<std::int8_t>& src,
                                   const std::vector<std::int8_t>& weights) {
  std::vector<std::int64_t> dst;
  for (std::int64_t x = 0; x < row.out_width; ++x) {
    for (std::int64_t o = 0; o < row.outputs; ++o) {
      std::int64_t sum = 0;
      for (std::int64_t c = 0; c < row.channels; ++c) {
        for (std::int64_t y = 0; y < heights; ++y) {
          for (std::int64_t k = 0; k < row.kernel; ++k) {
            const std::int64_t at = x * row.stride + k - row.pad;
            if (at < 0 || at >= row.width) continue;
            // A factor for each row of the kernel, so that rows in the wrong order show.
            sum += (y + 1) * weights[static_cast<std::size_t>(((o * row.channels + c) * heights + y) * row.kernel + k)] *
                   src[static_cast<std::size_t>(at * row.channels + c)];
          }
        }
      }
      dst.push_back(sum);
    }
  }
  return dst;
}

std::vector<std::int8_t> random_codes(std::string_view key, std::int64_t count) {
  const Rng rng(5, key);
  std::vector<std::int8_t> codes;
  for (std::int64_t i = 0; i < count; ++i)
    codes.push_back(static_cast<std::int8_t>(static_cast<int>(rng.normal(static_cast<std::uint64_t>(i)) * 40.0)));
  return codes;
}

TEST(PixelFold, TheFoldedConvolutionIsTheSame) {
  int folded_rows = 0;
  for (const std::int64_t pixels : {2, 4}) {
    for (std::int64_t kernel = 1; kernel <= 7; ++kernel) {
      for (const std::int64_t stride : {1, 2}) {
        for (std::int64_t pad = 0; pad <= 3; ++pad) {
          for (const std::int64_t width : {8, 12, 13}) {
            for (const std::int64_t channels : {1, 3}) {
              // Whatever is padded on the right, the number of outputs says how far windows reach.
              const std::int64_t out_width = width / stride;
              const RowShape shape{.width = width, .out_width = out_width, .kernel = kernel, .stride = stride, .pad = pad};
              const std::optional<PixelFold> fold = fold_pixels(shape, pixels);
              if (!fold) continue;
              ++folded_rows;
              const Row row{width, channels, 2, kernel, stride, pad, out_width};
              const std::int64_t heights = 2;
              const std::vector<std::int8_t> src = random_codes("src", width * channels);
              const std::vector<std::int8_t> weights = random_codes("weights", row.outputs * channels * heights * kernel);
              const FoldableWeights extents{.outputs = row.outputs, .channels = channels, .kernel_height = heights};
              const std::vector<std::int8_t> folded = fold_weights(std::span<const std::int8_t>(weights), extents, shape, *fold);
              const Row groups{width / pixels,  channels * fold->src_pixels, row.outputs * fold->dst_pixels, fold->kernel, 1,
                               fold->pad_begin, out_width / fold->dst_pixels};
              ASSERT_EQ(groups.width + fold->pad_begin + fold->pad_end - fold->kernel + 1, groups.out_width);
              ASSERT_EQ(convolve(groups, heights, src, folded), convolve(row, heights, src, weights))
                  << pixels << " pixels, kernel " << kernel << ", stride " << stride << ", pad " << pad << ", width " << width;
            }
          }
        }
      }
    }
  }
  EXPECT_GT(folded_rows, 150);
}

TEST(PixelFold, RowsThatAreNotWholeGroupsStayAsTheyAre) {
  EXPECT_FALSE(fold_pixels({.width = 9, .out_width = 9, .kernel = 3, .stride = 1, .pad = 1}, 2));
  EXPECT_FALSE(fold_pixels({.width = 8, .out_width = 6, .kernel = 3, .stride = 1, .pad = 0}, 2));  // 4 groups in, 3 out
  EXPECT_FALSE(fold_pixels({.width = 9, .out_width = 3, .kernel = 3, .stride = 3, .pad = 0}, 2));
  EXPECT_FALSE(fold_pixels({.width = 8, .out_width = 4, .kernel = 1, .stride = 2, .pad = 3}, 2));  // no window sees its own group
  EXPECT_TRUE(fold_pixels({.width = 8, .out_width = 8, .kernel = 3, .stride = 1, .pad = 1}, 2));
}

}  // namespace
}  // namespace bitwright
