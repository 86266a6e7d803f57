// SPDX-License-Identifier: Apache-2.0
// `Session::run` allocates nothing: every door to the heap is counted, for all threads and all libraries of this program.
#include "bitwright/model/zoo.h"
#include "bitwright/runtime/argument_pool.h"
#include "bitwright/runtime/calibration.h"
#include "tests/support/fixed_models.h"
#include "tests/support/operator_cases.h"
#include "tests/unit/runtime/small_models.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>

// glibc's own functions behind the symbols that are replaced here.
extern "C" {
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* pointer, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);
}

namespace {
std::atomic<bool> g_counts{false};
std::atomic<long> g_allocations{0};

void count() {
  if (g_counts.load(std::memory_order_relaxed)) g_allocations.fetch_add(1, std::memory_order_relaxed);
}
}  // namespace

extern "C" {
void* malloc(std::size_t bytes) noexcept {
  count();
  return __libc_malloc(bytes);
}
void* calloc(std::size_t items, std::size_t bytes) noexcept {
  count();
  return __libc_calloc(items, bytes);
}
void* realloc(void* pointer, std::size_t bytes) noexcept {
  count();
  return __libc_realloc(pointer, bytes);
}
void* memalign(std::size_t alignment, std::size_t bytes) noexcept {
  count();
  return __libc_memalign(alignment, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  count();
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** pointer, std::size_t alignment, std::size_t bytes) noexcept {
  count();
  *pointer = __libc_memalign(alignment, bytes);
  return *pointer == nullptr ? ENOMEM : 0;
}
}

namespace bitwright {
namespace {

class CountedAllocations {
 public:
  CountedAllocations() {
    g_allocations = 0;
    g_counts = true;
  }
  ~CountedAllocations() { g_counts = false; }
  [[nodiscard]] long stop() const {
    g_counts = false;
    return g_allocations;
  }
};

TEST(CountedAllocations, SeesEveryDoorToTheHeap) {
  const auto allocations_of = [](auto use) {
    const CountedAllocations counted;
    void* pointer = use();
    const long found = counted.stop();
    std::free(pointer);
    return found;
  };
  EXPECT_EQ(allocations_of([] { return std::malloc(8); }), 1);
  EXPECT_EQ(allocations_of([] { return std::calloc(1, 8); }), 1);
  EXPECT_EQ(allocations_of([] { return std::aligned_alloc(64, 64); }), 1);
  EXPECT_EQ(allocations_of([] {
              void* pointer = nullptr;
              return ::posix_memalign(&pointer, 64, 64) == 0 ? pointer : nullptr;
            }),
            1);
  // The libraries' operator new, through the replacement that the runtime brings.
  const CountedAllocations counted;
  delete new std::string(100, 'x');
  EXPECT_EQ(counted.stop(), 2);
}

struct Case {
  const char* network;
  const char* format;
  std::int64_t batch;
  int threads;
};

TEST(NoAllocationInIntegers, InAnyRunOfAFixedPointModel) {
  constexpr FixedPoint kFormat{.int_bits = 6, .frac_bits = 10};
  const Model model = test::fixed_point(build_zoo_model("lenet5", 3), {.int_bits = 2, .frac_bits = 14}, kFormat, kFormat);
  for (const int threads : {1, 2}) {
    for (const std::int64_t batch : {1, 5}) {
      Session session(model, {.threads = threads, .batch = batch});
      const std::vector<float> input = test::random_input(session);
      std::vector<float> output(static_cast<std::size_t>(batch * session.output_shape().element_count()));
      const CountedAllocations counted;
      for (int i = 0; i < 5; ++i) session.run(input, output);
      EXPECT_EQ(counted.stop(), 0) << threads << " threads, batch " << batch;
      EXPECT_NE(output.front(), 0.0F);
    }
  }
}

class NoAllocation : public ::testing::TestWithParam<Case> {};

TEST_P(NoAllocation, InAnyRunOfASession) {
  const auto& [network, format, batch, threads] = GetParam();
  Model model = build_zoo_model(network, 3);
  if (format != nullptr) model = test::quantized(std::move(model), NumberFormat::parse(format));
  Session session(model, {.threads = threads, .batch = batch});
  const std::vector<float> input = test::random_input(session);
  std::vector<float> output(static_cast<std::size_t>(batch * session.output_shape().element_count()));
  const CountedAllocations counted;
  for (int i = 0; i < 5; ++i) session.run(input, output);
  EXPECT_EQ(counted.stop(), 0);
  EXPECT_NE(output.front(), 0.0F);
}

INSTANTIATE_TEST_SUITE_P(Sessions, NoAllocation,
                         ::testing::Values(Case{"lenet5", nullptr, 1, 1}, Case{"lenet5", "pow2:5", 1, 1}, Case{"lenet5", "pow2:2", 8, 2},
                                           Case{"lenet5", "uniform:4/256", 64, 2}, Case{"mlp-1000", "pow2:3", 1, 2},
                                           Case{"gupta-cifar-cnn", nullptr, 3, 1}, Case{"resnet20", nullptr, 1, 1},
                                           Case{"resnet20", "pow2:5", 16, 2}, Case{"lenet5", nullptr, 1, 3}),
                         [](const auto& param_info) { return "case" + std::to_string(param_info.index); });

TEST(NoAllocation, InAnyRunOfAnyActivationMode) {
  for (const char* network : {"lenet5", "resnet20"}) {
    for (const char* format : {"pow2:5", "ternary"}) {
      const Model model = test::quantized(build_zoo_model(network, 3), NumberFormat::parse(format));
      const std::int64_t image = model.graph.inputs.front().shape.with_dim(0, 1).element_count();
      const Model scaled = calibrate(model, test::normals("images", 2 * image));
      for (const Activations activations : {Activations::float32, Activations::bfloat16, Activations::int8}) {
        for (const auto& [batch, threads] : {std::pair{1, 1}, std::pair{9, 1}, std::pair{9, 2}, std::pair{1, 2}}) {
          Session session(scaled, {.threads = threads, .batch = batch, .activations = activations});
          const std::vector<float> input = test::random_input(session);
          const std::vector<float> elsewhere = input;  // images are read where they lie, which may change
          std::vector<float> output(static_cast<std::size_t>(batch * session.output_shape().element_count()));
          const CountedAllocations counted;
          for (int i = 0; i < 5; ++i) session.run(i % 2 == 0 ? input : elsewhere, output);
          EXPECT_EQ(counted.stop(), 0) << network << " " << format << " " << activations_name(activations) << " " << batch << " "
                                       << threads;
          EXPECT_NE(output.front(), 0.0F);
        }
      }
    }
  }
}

TEST(NoAllocation, InAnyOperator) {
  std::vector<test::OperatorCase> cases = test::operator_cases();
  cases.push_back({"Encoder", test::encoder_block()});
  cases.push_back({"EncoderInCodes", test::quantized(test::encoder_block(), NumberFormat::parse("pow2:3"))});
  for (const test::OperatorCase& each : cases) {
    for (const auto& [threads, activations] : {std::pair{1, Activations::float32}, std::pair{2, Activations::float32},
                                               std::pair{2, Activations::bfloat16}, std::pair{2, Activations::int8}}) {
      const std::int64_t image = each.model.graph.inputs.front().shape.with_dim(0, 1).element_count();
      const Model model = activations == Activations::int8 ? calibrate(each.model, test::normals("images", 2 * image)) : each.model;
      Session session(model, {.threads = threads, .batch = 3, .activations = activations});
      const std::vector<float> input = test::random_input(session);
      std::vector<float> output(static_cast<std::size_t>(3 * session.output_shape().element_count()));
      const CountedAllocations counted;
      for (int i = 0; i < 3; ++i) session.run(input, output);
      EXPECT_EQ(counted.stop(), 0) << each.name << ", " << threads << " threads, " << activations_name(activations);
    }
  }
}

TEST(NoAllocation, InAConcatOfAsManySourcesAsANodeMayHave) {
  test::GraphMaker maker(Shape{3, 6, 6});
  const std::string a = maker.conv("input", Shape{16, 3, 3, 3});
  const std::string out = maker.node(Op::Concat, std::vector<std::string>(64, a), {{"axis", std::int64_t{1}}});
  Session session(std::move(maker).finish(out), {.threads = 2, .batch = 2});
  const std::vector<float> input = test::random_input(session);
  std::vector<float> output(static_cast<std::size_t>(2 * session.output_shape().element_count()));
  const CountedAllocations counted;
  for (int i = 0; i < 3; ++i) session.run(input, output);
  EXPECT_EQ(counted.stop(), 0);
}

TEST(NoAllocation, GoingBackToAPlanThatWasMadeBefore) {
  Session session(build_zoo_model("lenet5", 3));
  const std::vector<float> input = test::random_input(session);
  std::vector<float> output(10);
  session.prepare(4);
  const CountedAllocations counted;
  session.prepare(1);
  session.run(input, output);
  EXPECT_EQ(counted.stop(), 0);
}

TEST(ArgumentPool, ServesNewWithinAScopeOnly) {
  ArgumentPool pool;
  ASSERT_TRUE(pool.is_effective());
  const CountedAllocations counted;
  {
    const ArgumentPool::Scope scope(pool);
    delete new std::string(100, 'x');
    EXPECT_EQ(g_allocations, 0);
  }
  auto* outside = new int(1);
  EXPECT_EQ(counted.stop(), 1);
  delete outside;
}

TEST(ArgumentPool, FallsBackToTheHeapWhenItIsFull) {
  ArgumentPool pool;
  std::vector<std::string*> kept(1000);
  const CountedAllocations counted;
  {
    const ArgumentPool::Scope scope(pool);
    for (std::string*& text : kept) text = new std::string("short");  // 32 bytes each, four times what the pool has
  }
  const long from_heap = counted.stop();
  EXPECT_EQ(from_heap, 1000 - static_cast<long>(ArgumentPool::kBytes / sizeof(std::string)));
  for (std::string* text : kept) {
    EXPECT_EQ(*text, "short");
    delete text;
  }
}

TEST(ArgumentPool, WhatOutlivesItsScopeStaysGood) {
  ArgumentPool pool;
  std::string* kept = nullptr;
  {
    const ArgumentPool::Scope scope(pool);
    kept = new std::string("kept");
  }
  {
    const ArgumentPool::Scope scope(pool);
    delete new std::string("other");
  }
  EXPECT_EQ(*kept, "kept");
  const void* place = kept;
  delete kept;
  const ArgumentPool::Scope scope(pool);  // all was given back: the pool starts over
  auto* again = new std::string("again");
  EXPECT_EQ(static_cast<const void*>(again), place);
  delete again;
}

TEST(ArgumentPool, MorePoolsThanSlotsAreHarmless) {
  std::vector<std::unique_ptr<ArgumentPool>> pools;
  for (int i = 0; i < 300; ++i) pools.push_back(std::make_unique<ArgumentPool>());
  EXPECT_FALSE(pools.back()->is_effective());
  const ArgumentPool::Scope scope(*pools.back());
  const CountedAllocations counted;
  delete new std::string(100, 'x');
  EXPECT_EQ(counted.stop(), 2);
}

}  // namespace
}  // namespace bitwright
