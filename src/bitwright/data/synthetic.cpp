// SPDX-License-Identifier: Apache-2.0
#include "bitwright/data/synthetic.h"

#include "bitwright/core/assert.h"
#include "bitwright/core/error.h"
#include "bitwright/core/rng.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace bitwright {
namespace {

constexpr std::string_view kPrefix = "synthetic:";
constexpr int kSide = 28;
constexpr int kPixels = kSide * kSide;
constexpr int kBlobs = 5;
constexpr int kMaxShift = 2;
constexpr double kNoise = 48.0;
constexpr std::int64_t kMaxClasses = 256;
constexpr std::int64_t kMaxImages = 1'000'000;

using Prototype = std::array<double, kPixels>;

/// A sum of bumps a * (1 - d^2 / r^2)^2, scaled so that the brightest pixel is 1.
Prototype make_prototype(const Rng& rng, int label) {
  Prototype prototype{};
  double brightest = 0.0;
  for (int blob = 0; blob < kBlobs; ++blob) {
    const auto draw = [&](std::uint64_t which) {
      return rng.uniform01((static_cast<std::uint64_t>(label) * kBlobs + static_cast<std::uint64_t>(blob)) * 4 + which);
    };
    const double row = 5.0 + 18.0 * draw(0);
    const double column = 5.0 + 18.0 * draw(1);
    const double radius = 4.0 + 4.0 * draw(2);
    const double height = 0.5 + 0.5 * draw(3);
    for (int y = 0; y < kSide; ++y) {
      for (int x = 0; x < kSide; ++x) {
        const double distance2 = (y - row) * (y - row) + (x - column) * (x - column);
        const double rest = 1.0 - distance2 / (radius * radius);
        double& pixel = prototype[static_cast<std::size_t>(y * kSide + x)];
        if (rest > 0.0) pixel += height * rest * rest;
        brightest = std::max(brightest, pixel);
      }
    }
  }
  for (double& pixel : prototype) pixel /= brightest;
  return prototype;
}

class SyntheticImages final : public Dataset {
 public:
  SyntheticImages(std::string_view name, const SyntheticSpec& spec, Split split)
      : name_(name), size_(split == Split::train ? spec.train : spec.test), classes_(spec.classes) {
    for (int label = 0; label < classes_; ++label) class_names_.push_back(std::to_string(label));
    std::vector<Prototype> prototypes;
    const Rng prototype_rng(spec.seed, "synthetic_prototypes");
    for (int label = 0; label < classes_; ++label) prototypes.push_back(make_prototype(prototype_rng, label));
    const Rng pose(spec.seed, "synthetic_pose", split == Split::train ? 0 : 1);
    const Rng noise(spec.seed, "synthetic_noise", split == Split::train ? 0 : 1);
    pixels_.resize(static_cast<std::size_t>(size_) * kPixels);
    for (std::int64_t i = 0; i < size_; ++i) draw_image(i, prototypes[static_cast<std::size_t>(i % classes_)], pose, noise);
  }

  [[nodiscard]] std::string_view name() const noexcept override { return name_; }
  [[nodiscard]] std::int64_t size() const noexcept override { return size_; }
  [[nodiscard]] const Shape& image_shape() const noexcept override { return image_shape_; }
  [[nodiscard]] const std::vector<std::string>& class_names() const noexcept override { return class_names_; }

  int read(std::int64_t index, std::span<std::uint8_t> pixels) const override {
    BITWRIGHT_ASSERT(index >= 0 && index < size_ && pixels.size() == kPixels);
    std::memcpy(pixels.data(), pixels_.data() + static_cast<std::size_t>(index) * kPixels, kPixels);
    return static_cast<int>(index % classes_);
  }

 private:
  void draw_image(std::int64_t index, const Prototype& prototype, const Rng& pose, const Rng& noise) {
    const auto image = static_cast<std::uint64_t>(index);
    const int down = static_cast<int>(pose.below(image * 3, 2 * kMaxShift + 1)) - kMaxShift;
    const int right = static_cast<int>(pose.below(image * 3 + 1, 2 * kMaxShift + 1)) - kMaxShift;
    const double brightness = 140.0 + 90.0 * pose.uniform01(image * 3 + 2);
    std::uint8_t* const out = pixels_.data() + static_cast<std::size_t>(index) * kPixels;
    for (int pixel = 0; pixel < kPixels; ++pixel) {
      const int y = pixel / kSide - down;
      const int x = pixel % kSide - right;
      const bool inside = y >= 0 && y < kSide && x >= 0 && x < kSide;
      const double clean = inside ? brightness * prototype[static_cast<std::size_t>(y * kSide + x)] : 0.0;
      const double shade = kNoise * (noise.uniform01(image * kPixels + static_cast<std::uint64_t>(pixel)) - 0.5);
      out[pixel] = static_cast<std::uint8_t>(std::clamp(clean + shade + 0.5, 0.0, 255.0));
    }
  }

  std::string name_;
  std::int64_t size_;
  int classes_;
  Shape image_shape_{1, kSide, kSide};
  std::vector<std::string> class_names_;
  std::vector<std::uint8_t> pixels_;
};

}  // namespace

bool is_synthetic_name(std::string_view name) noexcept { return name == "synthetic" || name.starts_with(kPrefix); }

SyntheticSpec parse_synthetic_name(std::string_view name) {
  std::array<std::uint64_t, 4> numbers{};
  const char* position = name.data() + std::min(kPrefix.size(), name.size());
  const char* const end = name.data() + name.size();
  bool well_formed = name.starts_with(kPrefix);
  for (std::size_t i = 0; well_formed && i < numbers.size(); ++i) {
    if (i > 0) well_formed = position != end && *position++ == ':';
    if (!well_formed) break;
    const auto [rest, error] = std::from_chars(position, end, numbers[i]);
    well_formed = error == std::errc() && rest != position;
    position = rest;
  }
  if (!well_formed || position != end) {
    fail(ErrorCode::usage, "{}: this is no synthetic data set (need synthetic:CLASSES:TRAIN:TEST:SEED); write e.g. synthetic:10:512:256:1.",
         name);
  }
  const auto [classes, train, test, seed] = numbers;
  if (classes < 2 || classes > kMaxClasses) {
    fail(ErrorCode::usage, "{}: wrong number of classes (found {}, need 2 to {}); write e.g. synthetic:10:512:256:1.", name, classes,
         kMaxClasses);
  }
  for (const std::uint64_t count : {train, test}) {
    if (count > kMaxImages) {
      fail(ErrorCode::usage, "{}: too many images (found {}, need at most {}); write e.g. synthetic:10:512:256:1.", name, count,
           kMaxImages);
    }
  }
  return {static_cast<int>(classes), static_cast<std::int64_t>(train), static_cast<std::int64_t>(test), seed};
}

std::unique_ptr<Dataset> make_synthetic(std::string_view name, Split split) {
  const SyntheticSpec spec = parse_synthetic_name(name);
  if ((split == Split::train ? spec.train : spec.test) == 0) {
    fail(ErrorCode::invalid_input, "{}: the {} split is empty (found 0 images, need at least 1); ask for more images.", name,
         split == Split::train ? "train" : "test");
  }
  return std::make_unique<SyntheticImages>(name, spec, split);
}

}  // namespace bitwright
