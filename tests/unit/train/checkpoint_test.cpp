// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/checkpoint.h"

#include "bitwright/core/file.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"

#include <gtest/gtest.h>

namespace bitwright::test {
namespace {

std::vector<std::byte> state_of(int value) { return std::vector<std::byte>(100, static_cast<std::byte>(value)); }

class CheckpointTest : public TempFolderTest {};

TEST_F(CheckpointTest, AlternatesBetweenTwoFilesAndFindsTheNewest) {
  CheckpointFolder checkpoints(folder());
  EXPECT_FALSE(checkpoints.newest().has_value());
  EXPECT_FALSE(checkpoints.has_files());
  EXPECT_EQ(checkpoints.write(7, state_of(0)), folder() / "ckpt.a");
  EXPECT_EQ(checkpoints.write(7, state_of(1)), folder() / "ckpt.b");
  EXPECT_EQ(checkpoints.write(7, state_of(2)), folder() / "ckpt.a");
  EXPECT_TRUE(checkpoints.has_files());
  const auto newest = CheckpointFolder(folder()).newest();
  ASSERT_TRUE(newest.has_value());
  EXPECT_EQ(newest->sequence, 2U);
  EXPECT_EQ(newest->recipe, 7U);
  EXPECT_EQ(newest->state, state_of(2));
  // Another process goes on with the other file.
  EXPECT_EQ(CheckpointFolder(folder()).write(7, state_of(3)), folder() / "ckpt.b");
}

TEST_F(CheckpointTest, EveryDamagedByteIsNoticedAndTheOlderFileUsed) {
  CheckpointFolder checkpoints(folder());
  checkpoints.write(7, state_of(1));
  const auto path = checkpoints.write(7, state_of(2));
  const std::vector<std::byte> good = read_file(path);
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::vector<std::byte> bad = good;
    bad[i] ^= std::byte{0x10};
    write_file_atomic(path, bad);
    const auto newest = checkpoints.newest();
    ASSERT_TRUE(newest.has_value());
    ASSERT_EQ(newest->state, state_of(1)) << "byte " << i;
  }
  for (std::size_t size = 0; size < good.size(); ++size) {
    write_file_atomic(path, std::span<const std::byte>(good).first(size));
    ASSERT_EQ(checkpoints.newest()->state, state_of(1)) << "cut to " << size;
  }
  // The damaged file is the one to be replaced.
  EXPECT_EQ(checkpoints.write(7, state_of(3)), path);
}

TEST_F(CheckpointTest, SaysWhatIsWrong) {
  const auto path = folder() / "ckpt.a";
  write_file_atomic(path, std::string_view("short"));
  expect_error(ErrorCode::corrupt_file, path.string() + ": the checkpoint is too short (found 5 bytes, need 40 or more); remove it.",
               [&] { (void)read_checkpoint(path); });
  write_file_atomic(path, std::string(80, 'x'));
  expect_error(ErrorCode::corrupt_file, path.string() + ": the checkpoint is damaged (its checksum does not match); remove it.",
               [&] { (void)read_checkpoint(path); });
}

}  // namespace
}  // namespace bitwright::test
