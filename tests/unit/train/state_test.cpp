// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/state.h"

#include "bitwright/train/tensor.h"
#include "tests/support/expect_error.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>

namespace bitwright::test {
namespace {

TEST(State, EveryKindReadsBackBitForBit) {
  const std::vector<float> values = {0.1F, -0.0F, std::numeric_limits<float>::denorm_min(), 3.0F, -7.5F, 1e30F};
  const at::Tensor matrix = to_tensor(Shape{2, 3}, values);
  StateWriter writer;
  writer.integer("i", -5);
  writer.real("r", 0.1);
  writer.text("t", "hello");
  writer.bytes("b", std::vector<std::uint8_t>{1, 0, 255});
  writer.tensor("w", matrix.t());  // not contiguous: the values count, not the memory
  writer.tensor("n", at::full({3}, std::int64_t{1} << 40, at::kLong));
  const std::vector<std::byte> bytes = std::move(writer).take();

  StateReader reader(bytes, "state");
  EXPECT_EQ(reader.integer("i"), -5);
  EXPECT_EQ(reader.real("r"), 0.1);
  EXPECT_EQ(reader.text("t"), "hello");
  EXPECT_EQ(reader.bytes("b"), (std::vector<std::uint8_t>{1, 0, 255}));
  const at::Tensor dst = at::empty({3, 2}, at::kFloat);
  reader.tensor_into("w", dst);
  const std::vector<float> expected = {0.1F, 3.0F, -0.0F, -7.5F, values[2], 1e30F};
  const std::vector<float> found = tensor_values(dst);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(found[i], expected[i]);
    EXPECT_EQ(std::signbit(found[i]), std::signbit(expected[i]));
  }
  EXPECT_EQ(reader.tensor("n").sum().item<std::int64_t>(), std::int64_t{3} << 40);
  reader.finish();
}

TEST(State, RefusesAnotherState) {
  StateWriter writer;
  writer.integer("step", 1);
  writer.tensor("w", at::zeros({2}));
  const std::vector<std::byte> bytes = std::move(writer).take();
  {
    StateReader reader(bytes, "ckpt.a");
    expect_error(ErrorCode::corrupt_file,
                 "ckpt.a: holds another state than this recipe makes (found \"step\", need \"epoch\"); start the run anew.",
                 [&] { (void)reader.integer("epoch"); });
  }
  StateReader reader(bytes, "ckpt.a");
  (void)reader.integer("step");
  expect_error(ErrorCode::corrupt_file, "ckpt.a: \"w\" has another shape (found [2], need [3]); start the run anew.",
               [&] { reader.tensor_into("w", at::zeros({3})); });
  StateReader left(bytes, "ckpt.a");
  (void)left.integer("step");
  const auto error = error_of([&] { left.finish(); });
  ASSERT_TRUE(error.has_value());
  EXPECT_TRUE(error->message().starts_with("ckpt.a: holds more than this recipe makes (found "));
}

TEST(State, EveryTruncationIsRefused) {
  StateWriter writer;
  writer.tensor("w", at::ones({4, 4}));
  const std::vector<std::byte> bytes = std::move(writer).take();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    StateReader reader(std::span<const std::byte>(bytes).first(size), "ckpt.a");
    const auto error = error_of([&] { (void)reader.tensor("w"); });
    ASSERT_TRUE(error.has_value()) << size;
    EXPECT_EQ(error->code(), ErrorCode::corrupt_file);
  }
}

}  // namespace
}  // namespace bitwright::test
