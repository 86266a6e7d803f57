// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace bitwright::apps {

/// Replaces this process by `bitwright-train` beside this program, with the same arguments. Throws: `Error(io)` when it is not there.
void hand_over(std::string_view verb, char** arguments);

}  // namespace bitwright::apps
