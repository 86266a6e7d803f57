// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/subprocess.h"

#include "tests/support/expect_error.h"
#include "tests/support/temp_folder.h"

#include <gtest/gtest.h>

namespace bitwright {
namespace {

TEST(Subprocess, CollectsBothStreamsAndTheExitCode) {
  const SubprocessResult result = run_subprocess({"sh", "-c", "echo out; echo err >&2; exit 7"}, "");
  EXPECT_EQ(result.exit_status, 7);
  EXPECT_EQ(result.output, "out\nerr\n");
}

TEST(Subprocess, LeavesTheErrorStreamAloneWhenAskedTo) {
  EXPECT_EQ(run_subprocess({"sh", "-c", "echo out; echo err >&2"}, "", KeptStreams::stdout_only).output, "out\n");
}

TEST(Subprocess, PassesArgumentsUntouched) {
  EXPECT_EQ(run_subprocess({"printf", "%s|", "a b", "$HOME", "*", ""}, "").output, "a b|$HOME|*||");
}

TEST(Subprocess, WorksInTheGivenFolder) {
  const test::TempFolder folder;
  EXPECT_EQ(run_subprocess({"pwd", "-P"}, folder.path()).output, std::filesystem::canonical(folder.path()).string() + "\n");
}

TEST(Subprocess, KeepsTheLast64Kibibytes) {
  const SubprocessResult result = run_subprocess({"sh", "-c", "head -c 200000 /dev/zero | tr '\\0' x; printf end"}, "");
  EXPECT_EQ(result.output.size(), 65536U);
  EXPECT_TRUE(result.output.ends_with("xend"));
}

TEST(Subprocess, ReadsNothingFromOurInput) { EXPECT_EQ(run_subprocess({"cat"}, "").output, ""); }

TEST(Subprocess, SignalIsReportedAsShellsDo) { EXPECT_EQ(run_subprocess({"sh", "-c", "kill -9 $$"}, "").exit_status, 137); }

TEST(Subprocess, MissingProgramAndFolderAreErrors) {
  test::expect_error(ErrorCode::io, "no-such-program-bw: cannot start the program (No such file or directory); install it or check PATH.",
                     [] { EXPECT_EQ(run_subprocess({"no-such-program-bw"}, "").exit_status, 0); });
  test::expect_error(ErrorCode::io, "/no/such/folder: cannot work in this folder (found no folder, need one); make it first.",
                     [] { EXPECT_EQ(run_subprocess({"true"}, "/no/such/folder").exit_status, 0); });
}

}  // namespace
}  // namespace bitwright
