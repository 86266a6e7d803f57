// SPDX-License-Identifier: Apache-2.0
#include "stop_signal.h"

#include <csignal>
#include <initializer_list>

namespace bitwright::apps {
namespace {

// A signal handler reaches globals only, and only lock-free ones.
std::atomic<bool> g_requested{false};
std::atomic<int> g_number{0};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

extern "C" void request_stop(int number) {
  g_number.store(number);
  g_requested.store(true);
}

void set_handler(void (*handler)(int), int flags) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigemptyset(&action.sa_mask);
  for (const int number : {SIGINT, SIGTERM}) sigaction(number, &action, nullptr);
}

}  // namespace

StopSignal::StopSignal() {
  g_requested.store(false);
  g_number.store(0);
  set_handler(request_stop, static_cast<int>(SA_RESTART | SA_RESETHAND));
}

StopSignal::~StopSignal() { set_handler(SIG_DFL, 0); }

const std::atomic<bool>* StopSignal::requested() const noexcept { return &g_requested; }

int StopSignal::number() const noexcept { return g_number.load(); }

}  // namespace bitwright::apps
