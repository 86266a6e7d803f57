// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace bitwright {

/// Extents of a tensor, outermost first (convolution weights are OIHW, activations NCHW), row-major in memory.
///
/// `kDynamic` marks an extent not known until run time; only a graph's inputs carry it.
class Shape {
 public:
  static constexpr std::int64_t kDynamic = -1;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> dims) : dims_(dims) {}
  explicit Shape(std::vector<std::int64_t> dims) : dims_(std::move(dims)) {}

  [[nodiscard]] std::size_t rank() const noexcept { return dims_.size(); }
  [[nodiscard]] std::int64_t operator[](std::size_t axis) const { return dims_.at(axis); }
  [[nodiscard]] const std::vector<std::int64_t>& dims() const noexcept { return dims_; }
  [[nodiscard]] bool is_static() const noexcept;

  /// Number of elements; 1 for rank 0.
  /// Throws: `Error(invalid_input)` when an extent is negative or the product overflows 2^62.
  [[nodiscard]] std::int64_t element_count() const;

  /// The same shape with `extent` on `axis`.
  [[nodiscard]] Shape with_dim(std::size_t axis, std::int64_t extent) const;

  /// Text form, e.g. `[20, 1, 5, 5]`; a dynamic extent prints as `?`.
  [[nodiscard]] std::string to_string() const;

  friend bool operator==(const Shape&, const Shape&) = default;

 private:
  std::vector<std::int64_t> dims_;
};

}  // namespace bitwright
