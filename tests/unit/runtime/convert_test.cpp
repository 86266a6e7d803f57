// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/convert.h"

#include "bitwright/runtime/ops/narrow_weights.h"
#include "tests/unit/runtime/small_models.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>

namespace bitwright {
namespace {

/// Any tensor as doubles, and the bytes that hold it.
struct Stored {
  ValueType type;
  std::vector<std::byte> bytes;
  explicit Stored(ValueType value_type, std::size_t count) : type(value_type), bytes(count * size_of(value_type)) {}
  static std::size_t size_of(ValueType type) { return type == ValueType::float32 ? 4 : type == ValueType::bfloat16 ? 2 : 1; }

  [[nodiscard]] double get(std::size_t i) const {
    const std::byte* at = bytes.data() + i * size_of(type);
    if (type == ValueType::float32) {
      float value = 0.0F;
      std::memcpy(&value, at, 4);
      return value;
    }
    if (type == ValueType::bfloat16) {
      std::uint16_t bits = 0;
      std::memcpy(&bits, at, 2);
      return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
    }
    return type == ValueType::uint8 ? static_cast<double>(std::to_integer<std::uint8_t>(*at))
                                    : static_cast<double>(static_cast<std::int8_t>(std::to_integer<std::uint8_t>(*at)));
  }
  void set(std::size_t i, float value) {
    std::byte* at = bytes.data() + i * size_of(type);
    if (type == ValueType::float32) {
      std::memcpy(at, &value, 4);
    } else if (type == ValueType::bfloat16) {
      const auto bits = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(round_to_bfloat16(value)) >> 16);
      std::memcpy(at, &bits, 2);
    } else {
      *at = static_cast<std::byte>(static_cast<std::uint8_t>(static_cast<int>(value)));
    }
  }
};

// The definition, element by element.
double converted(double x, float factor, ValueType type) {
  const float scaled = static_cast<float>(x) * factor;
  switch (type) {
    case ValueType::float32: return scaled;
    case ValueType::bfloat16: return round_to_bfloat16(scaled);
    case ValueType::uint8: return std::min(std::max(std::nearbyint(scaled), 0.0F), 255.0F);
    case ValueType::int8: return std::min(std::max(std::nearbyint(scaled), -128.0F), 127.0F);
  }
  return 0.0;
}

using Strides = std::vector<std::int64_t>;
struct Layout {
  Strides dims;
  Strides src;
  Strides dst;
};

TEST(Conversion, EveryPairOfTypesInEveryLayout) {
  const std::vector<Layout> layouts = {
      {{7}, {1}, {1}},
      {{10000}, {1}, {1}},
      {{2, 3, 40, 30}, {3600, 1200, 30, 1}, {3600, 1, 90, 3}},      // NCHW to NHWC, few channels
      {{1, 3, 100, 80}, {24000, 8000, 80, 1}, {24000, 1, 240, 3}},  // one image: shared among threads by pixels
      {{1, 1, 100, 80}, {8000, 8000, 80, 1}, {8000, 1, 80, 1}},
      {{2, 20, 5, 6}, {600, 30, 6, 1}, {600, 1, 120, 20}},  // many channels
      {{2, 20, 5, 6}, {600, 1, 120, 20}, {600, 30, 6, 1}},  // and back
      {{2, 4, 3}, {12, 3, 1}, {12, 3, 1}},
      {{1, 1}, {1, 1}, {1, 1}},
  };
  for (const Layout& layout : layouts) {
    const auto count = static_cast<std::size_t>(Shape(layout.dims).element_count());
    const std::vector<float> values = test::normals("values", static_cast<std::int64_t>(count), 20.0, 60.0);
    for (const ValueType from : {ValueType::float32, ValueType::bfloat16, ValueType::uint8, ValueType::int8}) {
      for (const ValueType to : {ValueType::float32, ValueType::bfloat16, ValueType::uint8, ValueType::int8}) {
        Stored src(from, count);
        for (std::size_t i = 0; i < count; ++i) {
          const float low = from == ValueType::uint8 ? 0.0F : -128.0F;
          src.set(i, is_code(from) ? std::clamp(std::trunc(values[i]), low, low + 255.0F) : values[i]);
        }
        for (const float scale : {1.0F, 0.75F}) {
          for (const int threads : {1, 2}) {
            Stored dst(to, count);
            const Conversion conversion(layout.dims, {.type = from, .strides = layout.src, .scale = scale},
                                        {.type = to, .strides = layout.dst, .scale = 1.0F});
            ASSERT_TRUE(conversion.run(src.bytes.data(), dst.bytes.data(), threads));
            const Shape shape(layout.dims);
            for (std::size_t i = 0; i < count; ++i) {
              std::int64_t index = static_cast<std::int64_t>(i);
              std::size_t a = 0;
              std::size_t b = 0;
              for (std::size_t axis = layout.dims.size(); axis-- > 0;) {
                a += static_cast<std::size_t>(index % shape[axis] * layout.src[axis]);
                b += static_cast<std::size_t>(index % shape[axis] * layout.dst[axis]);
                index /= shape[axis];
              }
              ASSERT_EQ(dst.get(b), converted(src.get(a), scale, to))
                  << value_type_name(from) << " to " << value_type_name(to) << " at " << i << " of " << shape.to_string();
            }
          }
        }
      }
    }
  }
}

TEST(Conversion, TiesGoToTheEvenCodeAndTheRestSaturates) {
  const std::vector<float> values = {0.5F, 1.5F, 2.5F, -0.5F, -1.5F, 126.5F, 127.5F, 1e30F, -1e30F, -128.5F, 254.5F, 255.5F};
  const auto codes = [&](ValueType type) {
    Stored dst(type, values.size());
    const Strides dims = {static_cast<std::int64_t>(values.size())};
    EXPECT_TRUE(Conversion(dims, {.type = ValueType::float32, .strides = {1}}, {.type = type, .strides = {1}})
                    .run(values.data(), dst.bytes.data(), 1));
    std::vector<int> result;
    for (std::size_t i = 0; i < values.size(); ++i) result.push_back(static_cast<int>(dst.get(i)));
    return result;
  };
  EXPECT_EQ(codes(ValueType::int8), (std::vector<int>{0, 2, 2, 0, -2, 126, 127, 127, -128, -128, 127, 127}));
  EXPECT_EQ(codes(ValueType::uint8), (std::vector<int>{0, 2, 2, 0, 0, 126, 128, 255, 0, 0, 254, 255}));
}

TEST(Conversion, NanIsReportedForCodesOnly) {
  const std::vector<float> values = {1.0F, std::nanf(""), 2.0F};
  for (const ValueType type : {ValueType::float32, ValueType::bfloat16, ValueType::uint8, ValueType::int8}) {
    Stored dst(type, 3);
    const Conversion conversion({3}, {.type = ValueType::float32, .strides = {1}, .scale = 1.0F},
                                {.type = type, .strides = {1}, .scale = 2.0F});
    EXPECT_EQ(conversion.run(values.data(), dst.bytes.data(), 1), !is_code(type));
    if (!is_code(type)) {
      EXPECT_TRUE(std::isnan(dst.get(1)));
    }
  }
}

}  // namespace
}  // namespace bitwright
