// SPDX-License-Identifier: Apache-2.0
#include "hand_over.h"

#include "bitwright/core/error.h"

#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

namespace bitwright::apps {

void hand_over(std::string_view verb, char** arguments) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) fail(ErrorCode::io, "{}: cannot find this program's own folder ({}); is /proc mounted?", verb, error.message());
  const std::filesystem::path trainer = self.parent_path() / "bitwright-train";
  // OpenMP's threads wait for each other many times a step. Waiting by spinning takes the processor from the very thread that is waited
  // for when other programs run too (measured: 483 instead of 3827 images a second), and going to sleep at once costs a wake-up each time:
  // so they spin for some ten microseconds, then sleep (LeNet-5 alone on two cores: 130 steps/s asleep at once, 183 to 223 with this). It
  // must be said before the program starts.
  ::setenv("OMP_WAIT_POLICY", "passive", /*overwrite=*/0);
  ::setenv("GOMP_SPINCOUNT", "100000", /*overwrite=*/0);
  ::execv(trainer.c_str(), arguments);
  if (errno == ENOENT) {
    fail(ErrorCode::io,
         "{}: the training program is missing (found no file {}, need `bitwright-train` beside `bitwright`); build with "
         "-DBITWRIGHT_TRAIN=ON or copy it there.",
         verb, trainer.string());
  }
  fail(ErrorCode::io, "{}: cannot start {} ({}); check its permissions.", verb, trainer.string(), std::strerror(errno));
}

}  // namespace bitwright::apps
