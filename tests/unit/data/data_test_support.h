// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/file.h"
#include "bitwright/data/dataset.h"

#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bitwright::test {

/// Sets or removes an environment variable for the life of this object.
class ScopedVariable {
 public:
  ScopedVariable(std::string name, const std::optional<std::string>& value) : name_(std::move(name)) {
    if (const char* const before = ::getenv(name_.c_str())) before_ = before;
    set(value);
  }
  ~ScopedVariable() { set(before_); }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;

 private:
  void set(const std::optional<std::string>& value) const {
    if (value) {
      ::setenv(name_.c_str(), value->c_str(), 1);
    } else {
      ::unsetenv(name_.c_str());
    }
  }
  std::string name_;
  std::optional<std::string> before_;
};

inline std::string big_endian(std::uint32_t value) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>((value >> shift) & 0xFF);
  return text;
}

/// Content of an IDX file of images whose pixels count up from 0 (modulo 256).
inline std::string idx_images(std::uint32_t magic, std::uint32_t count, std::uint32_t rows, std::uint32_t columns) {
  std::string text = big_endian(magic) + big_endian(count) + big_endian(rows) + big_endian(columns);
  for (std::uint64_t i = 0; i < std::uint64_t{count} * rows * columns; ++i) text += static_cast<char>(i % 256);
  return text;
}

inline std::string idx_labels(std::uint32_t magic, const std::vector<int>& labels) {
  std::string text = big_endian(magic) + big_endian(static_cast<std::uint32_t>(labels.size()));
  for (const int label : labels) text += static_cast<char>(label);
  return text;
}

inline void write(const std::filesystem::path& path, std::string_view content) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
}

inline std::vector<std::uint8_t> read_pixels(const Dataset& dataset, std::int64_t index) {
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(dataset.image_shape().element_count()));
  static_cast<void>(dataset.read(index, pixels));
  return pixels;
}

inline int read_label(const Dataset& dataset, std::int64_t index) {
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(dataset.image_shape().element_count()));
  return dataset.read(index, pixels);
}

}  // namespace bitwright::test
