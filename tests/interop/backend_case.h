// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright::test {

/// One case of ONNX's backend tests: a model with one or more operators, inputs, and the outputs that it must give.
struct BackendCase {
  std::string set;   ///< `node`, `pytorch-operator`, `pytorch-converted`
  std::string name;  ///< without `test_`
  std::filesystem::path folder;
  std::vector<std::string> operators;  ///< of its nodes, ordered, each once
};

/// All cases of a set, by name. An unreadable model has the operator `(unreadable)`.
[[nodiscard]] std::vector<BackendCase> backend_cases(const std::filesystem::path& data, const std::string& set);

/// What became of a case.
struct BackendVerdict {
  enum class Kind { passed, skipped, failed } kind = Kind::failed;
  std::string reason;  ///< why it can't be run, or what is wrong
};

/// Runs a case as bitwright would be used, in up to three ways; every float output is compared with the expected values by ONNX's own rule,
/// |got - need| <= 1e-7 + 1e-3 |need|.
///
/// As it stands: the first float input is fed, its first axis being the batch; every other input becomes an initializer (weights, shapes,
/// limits). For a batch of one: an axis in front of the fed input, axes and shapes in attributes and constants moved by one, where the
/// operator has such a form. The same with all float inputs cut out of one input, so that operators meet computed values. Passed: one way
/// at least gave the expected outputs and none gave others. Skipped: refused as unsupported in every way, for the first way's reason.
/// Anything else fails.
[[nodiscard]] BackendVerdict run_backend_case(const BackendCase& backend_case);

}  // namespace bitwright::test
