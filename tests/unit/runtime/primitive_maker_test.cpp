// SPDX-License-Identifier: Apache-2.0
#include "bitwright/runtime/primitive_maker.h"

#include <gtest/gtest.h>

#include <omp.h>

#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

namespace bitwright {
namespace {

TEST(PrimitiveMaker, OneThreadMakesAtOnce) {
  PrimitiveMaker maker(1);
  std::thread::id made_on;
  std::future<dnnl::primitive> future = maker.ask_for([&made_on] {
    made_on = std::this_thread::get_id();
    return dnnl::primitive();
  });
  EXPECT_EQ(made_on, std::this_thread::get_id());
  future.get();
}

TEST(PrimitiveMaker, MoreThreadsMakeBesideInTheOrderAskedFor) {
  PrimitiveMaker maker(3);
  std::vector<int> order;
  std::vector<std::thread::id> made_on(8);
  std::vector<int> for_threads(8);
  std::vector<std::future<dnnl::primitive>> futures;
  for (std::size_t i = 0; i < made_on.size(); ++i) {
    futures.push_back(maker.ask_for([&, i] {
      order.push_back(static_cast<int>(i));  // one thread makes them all
      made_on[i] = std::this_thread::get_id();
      for_threads[i] = omp_get_max_threads();
      return dnnl::primitive();
    }));
  }
  for (std::future<dnnl::primitive>& future : futures) future.get();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7}));
  for (std::size_t i = 0; i < made_on.size(); ++i) {
    EXPECT_NE(made_on[i], std::this_thread::get_id());
    EXPECT_EQ(made_on[i], made_on[0]);
    EXPECT_EQ(for_threads[i], 3) << "primitives are made for the session's threads";
  }
}

TEST(PrimitiveMaker, WhatMakingThrowsComesOutOfTheFuture) {
  for (const int threads : {1, 2}) {
    PrimitiveMaker maker(threads);
    std::future<dnnl::primitive> future = maker.ask_for([]() -> dnnl::primitive { throw std::runtime_error("no such kernel"); });
    EXPECT_THROW(future.get(), std::runtime_error);
    maker.ask_for([] { return dnnl::primitive(); }).get();  // and the maker goes on
  }
}

TEST(PrimitiveMaker, WhatWasNotBegunIsLeft) {
  std::promise<void> begun;
  std::promise<void> go_on;
  std::future<dnnl::primitive> first;
  std::future<dnnl::primitive> second;
  {
    PrimitiveMaker maker(2);
    first = maker.ask_for([&] {
      begun.set_value();
      go_on.get_future().wait();
      return dnnl::primitive();
    });
    second = maker.ask_for([] { return dnnl::primitive(); });
    begun.get_future().wait();
    // The destructor waits for the first alone.
    std::jthread later([&go_on] {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      go_on.set_value();
    });
    later.detach();
  }
  first.get();
  EXPECT_THROW(second.get(), std::future_error);
}

}  // namespace
}  // namespace bitwright
