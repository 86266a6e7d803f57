// SPDX-License-Identifier: Apache-2.0
#include "bitwright/data/dataset.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"
#include "bitwright/core/nearest_name.h"
#include "bitwright/data/dataset_folder.h"
#include "bitwright/data/dataset_source.h"
#include "bitwright/data/fetch.h"
#include "bitwright/data/image_folder.h"
#include "bitwright/data/image_region.h"
#include "bitwright/data/sources/sources.h"
#include "bitwright/data/synthetic.h"

#include <array>
#include <map>

namespace bitwright {
namespace {

constexpr auto kRegistry = std::to_array<DatasetEntry>({
#define BITWRIGHT_DATASET(name, function, description) {name, description, &open_##function},
#include "bitwright/data/datasets.inc"
#undef BITWRIGHT_DATASET
});

const std::map<std::string, DatasetSource, std::less<>>& sources() {
  static const std::map<std::string, DatasetSource, std::less<>> all{
#define BITWRIGHT_DATASET(name, function, description) {name, source_##function()},
#include "bitwright/data/datasets.inc"
#undef BITWRIGHT_DATASET
  };
  return all;
}

std::vector<std::string> known_names() {
  std::vector<std::string> names;
  for (const DatasetEntry& entry : kRegistry) names.emplace_back(entry.name);
  names.emplace_back("synthetic:CLASSES:TRAIN:TEST:SEED");
  names.emplace_back("folder:PATH@SIZE");
  return names;
}

const DatasetEntry& registry_entry(std::string_view name) {
  for (const DatasetEntry& entry : kRegistry) {
    if (entry.name == name) return entry;
  }
  const std::vector<std::string> known = known_names();
  fail(ErrorCode::usage, "{}: no data set has this name (need one of {}); did you mean `{}`?", name, join_names(known),
       nearest_name(name, known));
}

/// `1,234,567`
std::string with_commas(std::uint64_t number) {
  const std::string digits = std::to_string(number);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

}  // namespace

int Dataset::read_random_crop(std::int64_t index, double min_area, const Rng& draws, std::int64_t sample,
                              std::span<std::uint8_t> pixels) const {
  const Shape& shape = image_shape();
  const int label = read(index, pixels);
  const Region region = random_region(shape[2], shape[1], min_area, draws, sample);
  // The channels lie one behind the other: each is an image of its own to the scaler.
  const auto plane = static_cast<std::size_t>(shape[1] * shape[2]);
  for (std::size_t channel = 0; channel < static_cast<std::size_t>(shape[0]); ++channel) {
    const std::span<std::uint8_t> dst = pixels.subspan(channel * plane, plane);
    resample({shape[2], shape[1], 1, {dst.begin(), dst.end()}}, region, {1, shape[1], shape[2]}, dst);
  }
  return label;
}

Split parse_split(std::string_view name) {
  if (name == "train") return Split::train;
  if (name == "test") return Split::test;
  fail(ErrorCode::usage, "{}: no split has this name (need train or test); write `train` or `test`.", name);
}

std::span<const DatasetEntry> dataset_registry() noexcept { return kRegistry; }

const DatasetSource& dataset_source(std::string_view name) { return sources().find(registry_entry(name).name)->second; }

const DatasetFile& dataset_file(const DatasetSource& source, std::string_view file_name) {
  const DatasetFile* found = nullptr;
  for (const DatasetFile& file : source.files) {
    if (file.name == file_name) found = &file;
  }
  BITWRIGHT_ASSERT(found != nullptr);
  return *found;
}

std::unique_ptr<Dataset> open_dataset(std::string_view name, Split split) {
  if (is_synthetic_name(name)) return make_synthetic(name, split);
  if (is_image_folder_name(name)) return open_image_folder(name, split);
  const DatasetEntry& entry = registry_entry(name);
  if (const std::filesystem::path folder = find_dataset_folder(name); !folder.empty()) return entry.open(folder, split);

  // Nothing usable. If some of the files are there, they can say better what is wrong.
  const DatasetSource& source = dataset_source(name);
  const std::filesystem::path folder = folder_with_some_files(source);
  if (folder.empty()) {
    std::vector<std::string> looked_in;
    for (const DatasetFolder& place : dataset_folders(source)) looked_in.push_back(place.path.string());
    fail(ErrorCode::io, "{}: the data set is not on this computer (looked in {}); run `bitwright data get {}`.", name,
         join_names(looked_in), name);
  }
  std::unique_ptr<Dataset> dataset = entry.open(folder, split);
  for (const FileCheck& check : check_files(source, folder)) {
    if (check.status != "ok") fail(ErrorCode::corrupt_file, "{}: {}; run `bitwright data get {}`.", check.file, check.status, name);
  }
  return dataset;
}

std::string dataset_table() {
  std::string table = "| name | images | files | bytes | comes from |\n|---|---|---|---:|---|\n";
  for (const DatasetEntry& entry : kRegistry) {
    const DatasetSource& source = dataset_source(entry.name);
    std::uint64_t bytes = 0;
    std::string files;
    for (const DatasetFile& file : source.files) {
      bytes += file.bytes;
      files += fmt::format("{}`{}`", files.empty() ? "" : ", ", file.name);
    }
    std::vector<std::string> places;
    for (const std::string& url : source.gzip_mirrors) places.push_back(fmt::format("<{}>", url));
    for (const ArchiveMirror& archive : source.archives) places.push_back(fmt::format("<{}>", archive.url));
    for (const NpmPackage& package : source.npm_packages) {
      places.push_back(fmt::format("npm package `{}` {}", package.name, package.version));
    }
    for (const DebianPackage& package : source.debian_packages) places.push_back(fmt::format("Debian package `{}`", package.name));
    table += fmt::format("| `{}` | {} | {} | {} | {} |\n", entry.name, entry.description, files, with_commas(bytes), join_names(places));
  }
  return table;
}

}  // namespace bitwright
