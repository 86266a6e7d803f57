// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/core/rng.h"
#include "bitwright/core/shape.h"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

enum class Split { train, test };

/// Throws: `Error(usage)` on anything but `train` and `test`.
[[nodiscard]] Split parse_split(std::string_view name);

/// Images with one label each, in a fixed order. Safe to read from several threads.
class Dataset {
 public:
  virtual ~Dataset() = default;
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  [[nodiscard]] virtual std::int64_t size() const noexcept = 0;
  /// CHW, e.g. [1, 28, 28].
  [[nodiscard]] virtual const Shape& image_shape() const noexcept = 0;
  [[nodiscard]] virtual const std::vector<std::string>& class_names() const noexcept = 0;
  /// Copies one image (uint8, CHW) and returns its label. Requires: 0 <= index < size(); pixels.size() == image_shape().element_count().
  virtual int read(std::int64_t index, std::span<std::uint8_t> pixels) const = 0;
  /// As `read`, but a randomly chosen part of the image (`random_region`) is scaled to the whole. `draws`: the stream of an epoch,
  /// `sample`: the number that keys the draw. A set that holds images larger than `image_shape()` cuts from these.
  virtual int read_random_crop(std::int64_t index, double min_area, const Rng& draws, std::int64_t sample,
                               std::span<std::uint8_t> pixels) const;
};

/// One known data set: where it comes from and how it is opened.
struct DatasetEntry {
  std::string_view name;
  std::string_view description;
  /// Opens a split from a folder that holds the set's files. Throws: `Error(io)`, `Error(corrupt_file)` (wrong size, magic or label).
  std::unique_ptr<Dataset> (*open)(const std::filesystem::path& folder, Split split);
};

[[nodiscard]] std::span<const DatasetEntry> dataset_registry() noexcept;

/// Opens a data set that is already on disk. Looked for in the cache folder, then in the shared folder.
///
/// Besides registry names, `synthetic:CLASSES:TRAIN:TEST:SEED` (e.g. `synthetic:10:512:256:1`) makes a small learnable set of 1x28x28
/// images in memory: no files, for tests and tries; `folder:PATH` and `folder:PATH@SIZE` are a folder of images, see `open_image_folder`.
/// Throws: `Error(usage)` unknown name (lists the known ones); `Error(io)` when it is not there (says `bitwright data get NAME`);
/// `Error(invalid_input)` when it is empty.
[[nodiscard]] std::unique_ptr<Dataset> open_dataset(std::string_view name, Split split);

/// A subset or reordering of another set: element i is parent[indices[i]].
[[nodiscard]] std::unique_ptr<Dataset> make_subset(std::shared_ptr<const Dataset> parent, std::vector<std::int64_t> indices);

/// Splits the training images in two by a seeded permutation: (rest, held_out) index lists, each ascending. For choices that must not see
/// the test split.
struct HoldOut {
  std::vector<std::int64_t> rest;
  std::vector<std::int64_t> held_out;
};
[[nodiscard]] HoldOut hold_out(std::int64_t size, std::int64_t held_out_count, std::uint64_t seed);

}  // namespace bitwright
