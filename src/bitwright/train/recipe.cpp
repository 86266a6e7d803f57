// SPDX-License-Identifier: Apache-2.0
#include "bitwright/train/recipe.h"

#include "bitwright/core/bytes.h"
#include "bitwright/core/checksum.h"
#include "bitwright/core/error.h"
#include "bitwright/core/file.h"
#include "bitwright/core/nearest_name.h"
#include "bitwright/train/recipe_table.h"

#include <array>
#include <charconv>
#include <limits>
#include <span>

namespace bitwright {
namespace {

const std::array<std::string, 2> kOptimizers = {"sgd", "adam"};
const std::array<std::string, 5> kSchedules = {"constant", "step", "cosine", "plateau", "exponential"};
const std::array<std::string, 2> kDevices = {"cpu", "cuda"};
const std::array<std::string, 2> kPrecisions = {"float32", "bfloat16"};

template <typename Enum>
void read_enum(RecipeTable& table, std::string_view key, Enum& value, std::span<const std::string> names) {
  auto index = static_cast<std::size_t>(value);
  table.read_name(key, index, names);
  value = static_cast<Enum>(index);
}

void read_int(RecipeTable& table, std::string_view key, int& value, std::int64_t lowest, std::int64_t highest) {
  std::int64_t wide = value;
  table.read(key, wide, {lowest, highest});
  value = static_cast<int>(wide);
}

constexpr std::int64_t kHuge = std::int64_t{1} << 40;

void read_train(const toml::table& section, const std::string& source, TrainRecipe& train) {
  RecipeTable table(section, "train.", source);
  table.read("epochs", train.epochs, {1, 1'000'000});
  table.read("batch", train.batch, {1, 65536});
  table.read("lr", train.lr, {1e-12, 1e6});
  auto seed = static_cast<std::int64_t>(train.seed);
  table.read("seed", seed, {0, std::numeric_limits<std::int64_t>::max()});
  train.seed = static_cast<std::uint64_t>(seed);
  read_enum(table, "optimizer", train.optimizer, kOptimizers);
  table.read("momentum", train.momentum, {0.0, 0.999999});
  table.read("nesterov", train.nesterov);
  table.read("weight_decay", train.weight_decay, {0.0, 1.0});
  table.read("bias_weight_decay", train.bias_weight_decay, {0.0, 1.0});
  read_enum(table, "schedule", train.schedule, kSchedules);
  table.read("milestones", train.milestones);
  table.read("gamma", train.gamma, {1e-6, 1.0});
  table.read("patience", train.patience, {0, 1'000'000});
  table.read("warmup_steps", train.warmup_steps, {0, kHuge});
  read_enum(table, "precision", train.precision, kPrecisions);
  read_enum(table, "device", train.device, kDevices);
  read_int(table, "threads", train.threads, 0, 4096);
  read_int(table, "workers", train.workers, 1, 256);
  table.read("checkpoint_every", train.checkpoint_every, {0, kHuge});
  table.read("evaluate_every", train.evaluate_every, {0, kHuge});
  table.finish();

  double last = 0.0;
  for (const double milestone : train.milestones) {
    if (!(milestone > last && milestone < 1.0)) {
      fail(ErrorCode::usage, "{} must increase between 0 and 1 (found {}); e.g. milestones = [0.5, 0.75].", table.where("milestones"),
           fmt::join(train.milestones, ", "));
    }
    last = milestone;
  }
  if (train.nesterov && (train.momentum == 0.0 || train.optimizer != OptimizerKind::sgd)) {
    fail(ErrorCode::usage, "{} needs optimizer = \"sgd\" and momentum above 0 (found {} and {}); change one of them.",
         table.where("nesterov"), kOptimizers[static_cast<std::size_t>(train.optimizer)], train.momentum);
  }
}

RecipeValue read_method_value(const std::string& where, const toml::node& node) {
  if (const auto* value = node.as_boolean()) return value->get();
  if (const auto* value = node.as_integer()) return value->get();
  if (const auto* value = node.as_floating_point()) return value->get();
  if (const auto* value = node.as_string()) return value->get();
  if (const auto* list = node.as_array()) {
    std::vector<double> numbers;
    std::vector<std::string> texts;
    for (const toml::node& element : *list) {
      if (element.is_number()) numbers.push_back(*element.value<double>());
      if (element.is_string()) texts.push_back(element.as_string()->get());
    }
    if (numbers.size() == list->size()) return numbers;
    if (texts.size() == list->size()) return texts;
    fail(ErrorCode::usage, "{} has the wrong type (found a mixed list, need numbers only or strings only); change it.", where);
  }
  fail(ErrorCode::usage, "{} has the wrong type (found {}, need a number, string, true, false or a list); change it.", where,
       toml_type_name(node));
}

MethodRecipe read_method(const toml::table& section, const std::string& source) {
  MethodRecipe method;
  for (const auto& [key, node] : section) {
    const std::string where = fmt::format("{}: method.{}", toml_place(source, node), key.str());
    RecipeValue value = read_method_value(where, node);
    if (key.str() == "name") {
      if (!std::holds_alternative<std::string>(value)) {
        fail(ErrorCode::usage, "{} has the wrong type (found {}, need a string); change it.", where, toml_type_name(node));
      }
      method.name = std::get<std::string>(value);
    } else {
      method.options.emplace(key.str(), std::move(value));
    }
  }
  if (method.name.empty()) {
    fail(ErrorCode::usage, "{}: a [[method]] has no name (need name = \"…\"); add it.", toml_place(source, section));
  }
  return method;
}

const toml::table& section_of(const toml::table& root, const std::string& source, std::string_view name) {
  static const toml::table kEmpty;
  const toml::node* node = root.get(name);
  if (node == nullptr) return kEmpty;
  if (!node->is_table()) {
    fail(ErrorCode::usage, "{}: {} has the wrong type (found {}, need a table [{}]); change it.", toml_place(source, *node), name,
         toml_type_name(*node), name);
  }
  return *node->as_table();
}

Recipe recipe_from_table(const toml::table& root, const std::string& source) {
  static const std::vector<std::string> kSections = {"model", "data", "train", "method"};
  for (const auto& [key, node] : root) {
    if (std::ranges::find(kSections, std::string_view(key.str())) == kSections.end()) {
      fail(ErrorCode::usage, "{}: unknown key \"{}\" (nearest: {}); rename or remove it.", toml_place(source, node), key.str(),
           nearest_name(key.str(), kSections));
    }
  }
  Recipe recipe;
  RecipeTable model(section_of(root, source, "model"), "model.", source);
  model.read("from", recipe.model.from);
  model.finish();
  RecipeTable data(section_of(root, source, "data"), "data.", source);
  data.read("name", recipe.data.name);
  data.read("hold_out", recipe.data.hold_out, {0, kHuge});
  data.read("train_images", recipe.data.train_images, {0, kHuge});
  read_int(data, "pad_crop", recipe.data.pad_crop, 0, 64);
  data.read("flip", recipe.data.flip);
  data.read("random_crop", recipe.data.random_crop, {0.0, 1.0});
  data.finish();
  read_train(section_of(root, source, "train"), source, recipe.train);
  if (recipe.model.from.empty()) fail(ErrorCode::usage, "{}: model.from is missing; e.g. from = \"zoo:lenet5\" below [model].", source);
  if (recipe.data.name.empty()) fail(ErrorCode::usage, "{}: data.name is missing; e.g. name = \"mnist\" below [data].", source);
  if (const toml::node* methods = root.get("method"); methods != nullptr) {
    if (!methods->is_array_of_tables()) {
      fail(ErrorCode::usage, "{}: method has the wrong type (found {}, need [[method]] tables); write [[method]].",
           toml_place(source, *methods), toml_type_name(*methods));
    }
    for (const toml::node& element : *methods->as_array()) recipe.methods.push_back(read_method(*element.as_table(), source));
  }
  return recipe;
}

toml::table parse_table(std::string_view text, const std::string& source) {
  try {
    return toml::parse(text, source);
  } catch (const toml::parse_error& error) {
    fail(ErrorCode::usage, "{} line {}: not valid TOML ({}); correct the line.", source, error.source().begin.line, error.description());
  }
}

/// The value as TOML where it is TOML (numbers, true, lists, quoted strings), otherwise as the bare string it looks like.
void insert_setting(toml::table& parent, std::string_view key, const std::string& value) {
  if (value.find('\n') == std::string::npos) {
    try {
      const toml::table parsed = toml::parse("value = " + value);
      parsed.get("value")->visit([&](const auto& node) { parent.insert_or_assign(key, node); });
      return;
    } catch (const toml::parse_error&) {
    }
  }
  parent.insert_or_assign(key, value);
}

void apply_setting(toml::table& root, const std::string& setting) {
  const auto equals = setting.find('=');
  if (equals == std::string::npos || equals == 0) {
    fail(ErrorCode::usage, "--set {}: not a setting (need KEY=VALUE, e.g. train.lr=0.1); correct it.", setting);
  }
  const std::string path = setting.substr(0, equals);
  toml::node* parent = &root;
  std::string_view rest = path;
  for (std::size_t dot = rest.find('.'); dot != std::string_view::npos; dot = rest.find('.')) {
    const std::string_view step = rest.substr(0, dot);
    rest.remove_prefix(dot + 1);
    toml::node* next = nullptr;
    if (toml::array* list = parent->as_array()) {
      std::size_t index = 0;
      const auto [end, error] = std::from_chars(step.data(), step.data() + step.size(), index);
      if (error != std::errc() || end != step.data() + step.size() || index >= list->size()) {
        fail(ErrorCode::usage, "--set {}: there is no such entry (found {}, need 0 to {}); correct it.", setting, step, list->size() - 1);
      }
      next = list->get(index);
    } else if (toml::table* table = parent->as_table()) {
      if (table->get(step) == nullptr) table->insert(step, toml::table{});
      next = table->get(step);
    }
    if (next == nullptr || !(next->is_table() || next->is_array())) {
      fail(ErrorCode::usage, "--set {}: \"{}\" holds no keys; correct the path.", setting, step);
    }
    parent = next;
  }
  toml::table* table = parent->as_table();
  if (table == nullptr || rest.empty()) {
    fail(ErrorCode::usage, "--set {}: not a path to a key (need e.g. train.lr or method.0.bits); correct it.", setting);
  }
  insert_setting(*table, rest, setting.substr(equals + 1));
}

Recipe recipe_with_settings(toml::table root, const std::string& source, const std::vector<std::string>& settings) {
  for (const std::string& setting : settings) apply_setting(root, setting);
  return recipe_from_table(root, source);
}

std::string toml_text(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      quoted += fmt::format("\\u{:04X}", byte);
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

/// Shortest text that reads back equal and that TOML takes for a float.
std::string toml_number(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

template <typename List, typename Format>
std::string toml_list(const List& list, Format format) {
  std::string text = "[";
  for (const auto& element : list) text += (text.size() > 1 ? ", " : "") + format(element);
  return text + "]";
}

std::string toml_value(const RecipeValue& value) {
  struct Visitor {
    std::string operator()(bool v) const { return v ? "true" : "false"; }
    std::string operator()(std::int64_t v) const { return fmt::format("{}", v); }
    std::string operator()(double v) const { return toml_number(v); }
    std::string operator()(const std::string& v) const { return toml_text(v); }
    std::string operator()(const std::vector<double>& v) const { return toml_list(v, toml_number); }
    std::string operator()(const std::vector<std::string>& v) const { return toml_list(v, toml_text); }
  };
  return std::visit(Visitor{}, value);
}

std::string toml_key(const std::string& key) {
  const bool bare = !key.empty() && key.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == key.npos;
  return bare ? key : toml_text(key);
}

}  // namespace

Recipe parse_recipe(std::string_view toml, const std::string& source) { return recipe_from_table(parse_table(toml, source), source); }

Recipe load_recipe(const std::filesystem::path& path, const std::vector<std::string>& settings) {
  return recipe_with_settings(parse_table(read_text_file(path), path.string()), path.string(), settings);
}

Recipe apply_settings(const Recipe& recipe, const std::vector<std::string>& settings) {
  return recipe_with_settings(toml::parse(to_toml(recipe)), "recipe", settings);
}

std::string to_toml(const Recipe& recipe) {
  const TrainRecipe& t = recipe.train;
  std::string text;
  const auto line = [&text](std::string_view key, const std::string& value) { text += fmt::format("{} = {}\n", key, value); };
  const auto integer = [](auto value) { return fmt::format("{}", value); };
  const auto boolean = [](bool value) { return std::string(value ? "true" : "false"); };
  text += "[model]\n";
  line("from", toml_text(recipe.model.from));
  text += "\n[data]\n";
  line("name", toml_text(recipe.data.name));
  line("hold_out", integer(recipe.data.hold_out));
  line("train_images", integer(recipe.data.train_images));
  line("pad_crop", integer(recipe.data.pad_crop));
  line("flip", boolean(recipe.data.flip));
  line("random_crop", toml_number(recipe.data.random_crop));
  text += "\n[train]\n";
  line("epochs", integer(t.epochs));
  line("batch", integer(t.batch));
  line("lr", toml_number(t.lr));
  line("seed", integer(t.seed));
  line("optimizer", toml_text(kOptimizers[static_cast<std::size_t>(t.optimizer)]));
  line("momentum", toml_number(t.momentum));
  line("nesterov", boolean(t.nesterov));
  line("weight_decay", toml_number(t.weight_decay));
  line("bias_weight_decay", toml_number(t.bias_weight_decay));
  line("schedule", toml_text(kSchedules[static_cast<std::size_t>(t.schedule)]));
  line("milestones", toml_list(t.milestones, toml_number));
  line("gamma", toml_number(t.gamma));
  line("patience", integer(t.patience));
  line("warmup_steps", integer(t.warmup_steps));
  line("precision", toml_text(kPrecisions[static_cast<std::size_t>(t.precision)]));
  line("device", toml_text(kDevices[static_cast<std::size_t>(t.device)]));
  line("threads", integer(t.threads));
  line("workers", integer(t.workers));
  line("checkpoint_every", integer(t.checkpoint_every));
  line("evaluate_every", integer(t.evaluate_every));
  for (const MethodRecipe& method : recipe.methods) {
    text += "\n[[method]]\n";
    line("name", toml_text(method.name));
    for (const auto& [key, value] : method.options) line(toml_key(key), toml_value(value));
  }
  return text;
}

std::uint64_t recipe_fingerprint(const Recipe& recipe) {
  Recipe facts = recipe;
  facts.train.checkpoint_every = 0;
  facts.train.workers = 1;
  return xxh3_64(as_bytes(to_toml(facts)));
}

}  // namespace bitwright
