// SPDX-License-Identifier: Apache-2.0
#include "tests/e2e/support/training_run.h"

#include "tests/e2e/support/process.h"

#include <system_error>

namespace bitwright::test {

std::string small_recipe() {
  return R"([model]
from = "zoo:gupta-mnist-cnn"
[data]
name = "synthetic:10:256:128:1"
pad_crop = 2
[train]
batch = 32
lr = 0.02
seed = 3
momentum = 0.9
weight_decay = 1e-4
schedule = "step"
threads = 1
checkpoint_every = 3
[[method]]
name = "inq"
bits = 3
portions = [0.2, 0.5, 0.8, 1.0]
epochs_per_portion = 3
)";
}

std::vector<std::string> small_training(const std::filesystem::path& folder, const std::string& run) {
  write_bytes(folder / "recipe.toml", small_recipe());
  return {"train", (folder / "recipe.toml").string(), "--run", (folder / run).string()};
}

bool has_checkpoint(const std::filesystem::path& run_folder) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(run_folder / "checkpoints", error)) {
    if (entry.path().filename().string().starts_with("ckpt.")) return true;
  }
  return false;
}

}  // namespace bitwright::test
