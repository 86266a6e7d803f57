// SPDX-License-Identifier: Apache-2.0
#include "tests/e2e/support/bad_input.h"

#include <gtest/gtest.h>

namespace bitwright::test {

void expect_refusal(const BadInput& row) {
  const TempFolder folder;
  ProcessOptions options = row.options;
  options.working_folder = folder.path();
  // Nothing outside the folder may answer.
  options.environment["BITWRIGHT_DATA"] = (folder / "data").string();
  options.environment["BITWRIGHT_SHARED_DATA"] = (folder / "shared").string();
  const std::vector<std::string> arguments = row.prepare(folder.path());
  const auto before = folder_content(folder.path());

  const ProcessResult result = bitwright(arguments, options);

  std::string message = "bitwright" + row.message + "\n";
  for (std::size_t at = 0; (at = message.find("{folder}", at)) != std::string::npos;) message.replace(at, 8, folder.path().string());
  EXPECT_EQ(result.err, message);
  EXPECT_EQ(result.exit_code, row.exit_code);
  EXPECT_EQ(result.out, "");
  EXPECT_TRUE(folder_content(folder.path()) == before) << "files were left behind or changed";
}

}  // namespace bitwright::test
