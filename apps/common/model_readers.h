// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace bitwright::apps {

/// Makes MODEL take what layers above `model` read: `.onnx`. Each program calls it first.
void register_model_readers();

}  // namespace bitwright::apps
