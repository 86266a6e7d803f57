// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "common/program.h"

namespace bitwright::apps {

#define BITWRIGHT_COMMAND(name, summary) Action declare_##name(CLI::App& app);
#define BITWRIGHT_HANDED_OVER(name, summary)
#include "commands.inc"
#undef BITWRIGHT_COMMAND
#undef BITWRIGHT_HANDED_OVER

}  // namespace bitwright::apps
