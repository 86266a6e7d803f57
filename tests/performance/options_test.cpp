// SPDX-License-Identifier: Apache-2.0
#include "bench/peers/options.h"

#include "bitwright/core/error.h"
#include "bitwright/model/zoo.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace bitwright {
namespace {

PeersOptions parse(std::vector<const char*> arguments) { return parse_peers_options(arguments); }

std::string refusal(std::vector<const char*> arguments) {
  try {
    (void)parse_peers_options(arguments);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::usage);
    return error.message();
  }
  return "accepted";
}

TEST(PeersOptions, WithoutArgumentsAllCasesRunTwentyTimesOnOneThread) {
  const PeersOptions options = parse({});
  EXPECT_EQ(options.cases.size(), peer_cases().size());
  EXPECT_EQ(options.samples, 20);
  EXPECT_EQ(options.threads, 1);
  EXPECT_TRUE(options.json.empty());
}

TEST(PeersOptions, Arguments) {
  const PeersOptions options =
      parse({"--cases", "lenet5,resnet18,lenet5", "--samples", "31", "--threads", "2", "--json", "a.json", "--node-modules", "here"});
  EXPECT_EQ(options.cases, (std::vector<std::string>{"lenet5", "resnet18"}));
  EXPECT_EQ(options.samples, 31);
  EXPECT_EQ(options.threads, 2);
  EXPECT_EQ(options.json, "a.json");
  EXPECT_EQ(options.node_modules, "here");
}

TEST(PeersOptions, WhatIsRefused) {
  EXPECT_TRUE(refusal({"--cases", "resnet81"}).starts_with("--cases: unknown case \"resnet81\" (nearest: resnet18; known: "));
  EXPECT_TRUE(refusal({"--cases", ""}).starts_with("--cases: unknown case \"\""));
  EXPECT_EQ(refusal({"--samples", "19"}), "--samples: not a number in range (found \"19\", need 20 to 100000); correct it.");
  EXPECT_EQ(refusal({"--threads", "two"}), "--threads: not a number in range (found \"two\", need 1 to 1024); correct it.");
  EXPECT_EQ(refusal({"--json"}), "--json: a value is missing; put it behind the option.");
  EXPECT_TRUE(refusal({"--sample", "20"}).starts_with("peers: unknown option \"--sample\" (nearest: --samples; known: "));
}

TEST(PeerCases, NetworksAreOfTheZooAndNamesDiffer) {
  std::vector<std::string_view> names;
  for (const PeerCase& one : peer_cases()) {
    EXPECT_NE(std::ranges::find(zoo_registry(), one.network, &ZooEntry::name), zoo_registry().end()) << one.network;
    EXPECT_EQ(std::ranges::find(names, one.name), names.end()) << one.name;
    // What everything is compared with.
    EXPECT_NE(std::ranges::find(one.activations, "float32"), one.activations.end()) << one.name;
    EXPECT_NE(std::ranges::find(one.formats, "float"), one.formats.end()) << one.name;
    names.push_back(one.name);
  }
}

TEST(PeersCommand, SaysOnlyWhatIsNotTheDefault) {
  EXPECT_EQ(peers_command("lenet5", 20, 1), "build/bench/bin/peers --cases lenet5");
  EXPECT_EQ(peers_command("lenet5", 50, 2), "build/bench/bin/peers --cases lenet5 --samples 50 --threads 2");
}

}  // namespace
}  // namespace bitwright
