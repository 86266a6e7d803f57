// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/data/dataset.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bitwright {

/// One file of a data set as it lies on disk.
struct DatasetFile {
  std::string name;
  std::uint64_t bytes = 0;
  std::vector<std::string> sha256;  ///< any of these is genuine; the first one is the publisher's
};

/// A .tar.gz whose folder `folder` holds the files.
struct ArchiveMirror {
  std::string url;
  std::string sha256;
  std::string folder;
};

/// An npm package whose folder `folder` holds the files.
struct NpmPackage {
  std::string name;
  std::string version;
  std::string folder;
};

/// A Debian package that installs the files, gzipped, into the absolute folder `folder`.
struct DebianPackage {
  std::string name;
  std::string folder;
};

/// What a data set consists of and where that comes from. Tried in the order of the members.
struct DatasetSource {
  std::string name;
  std::vector<DatasetFile> files;
  std::vector<std::string> gzip_mirrors;  ///< the file NAME is at URL + NAME + ".gz"
  std::vector<ArchiveMirror> archives;
  std::vector<NpmPackage> npm_packages;
  std::vector<DebianPackage> debian_packages;
};

/// Throws: `Error(usage)` on an unknown name; the message lists the known ones and the nearest.
[[nodiscard]] const DatasetSource& dataset_source(std::string_view name);

/// The file of this name. Requires: the source has it.
[[nodiscard]] const DatasetFile& dataset_file(const DatasetSource& source, std::string_view file_name);

/// The data sets as the Markdown table of docs/data.md.
[[nodiscard]] std::string dataset_table();

}  // namespace bitwright
