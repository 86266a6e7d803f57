// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "common/program.h"

namespace bitwright::apps {

#define BITWRIGHT_COMMAND(name, summary) Action declare_##name(CLI::App& app);
#include "commands.inc"
#undef BITWRIGHT_COMMAND

}  // namespace bitwright::apps
