// SPDX-License-Identifier: Apache-2.0
#include "bitwright/core/error.h"
#include "bitwright/model/limits.h"
#include "bitwright/onnx/import_rules.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

namespace bitwright::onnx {
namespace {

std::size_t axis_in(const NodeProto& node, std::int64_t axis, std::size_t rank) {
  const auto signed_rank = static_cast<std::int64_t>(rank);
  if (axis < -signed_rank || axis >= signed_rank) {
    fail(ErrorCode::invalid_input, "node {}: axis is outside the tensor (found {}, need {} to {}); check the model.",
         Importer::node_text(node), axis, -signed_rank, signed_rank - 1);
  }
  return static_cast<std::size_t>(axis < 0 ? axis + signed_rank : axis);
}

std::set<std::size_t> axes_in(const NodeProto& node, const std::vector<std::int64_t>& axes, std::size_t rank) {
  std::set<std::size_t> result;
  for (const std::int64_t axis : axes) result.insert(axis_in(node, axis, rank));
  return result;
}

/// A shape that fits the batch of the file but no other is well formed, only nothing that bitwright can run.
ErrorCode fixed_batch_error(const Importer& importer) {
  return importer.fixed_batch() > 1 ? ErrorCode::unsupported : ErrorCode::invalid_input;
}

bool is_batch(const Extent& extent) { return extent == Extent{.fixed = 0, .per_image = 1}; }

}  // namespace

void import_flatten(Importer& importer, const NodeProto& node) {
  const Activation& src = importer.activation(node, 0);
  importer.emit(node, "Flatten", {src.name}, Importer::attributes(node), node.outputs.front());
}

void import_reshape(Importer& importer, const NodeProto& node) {
  const Activation& src = importer.activation(node, 0);
  const std::vector<Extent> from = src.extents();
  const bool allows_zero = Importer::int_attribute(node, "allowzero", 0) != 0;
  Constant target;
  if (const auto stated = importer.opset() < 5 ? Importer::ints_attribute(node, "shape") : std::nullopt) {
    target.is_integer = true;
    for (const std::int64_t dim : *stated) target.ints.push_back({.fixed = dim, .per_image = 0});
  } else {
    target = importer.constant(node, 1);
  }
  if (!target.is_integer || target.ints.size() > limits::kMaxTensorRank)
    Importer::refuse(node, "to this shape is not supported; check the model.");
  std::vector<Extent> extents;
  std::optional<std::size_t> open;
  for (std::size_t i = 0; i < target.ints.size(); ++i) {
    Extent extent = target.ints[i];
    if (extent == Extent{} && !allows_zero) {
      if (i >= from.size())
        fail(ErrorCode::invalid_input, "node {}: Reshape copies axis {}, which the input lacks; check the model.",
             Importer::node_text(node), i);
      extent = from[i];
    } else if (extent == Extent{.fixed = -1, .per_image = 0}) {
      if (open)
        fail(ErrorCode::invalid_input, "node {}: Reshape has two open extents (found -1 twice, need at most one); check the model.",
             Importer::node_text(node));
      open = i;
      extent = {.fixed = 1, .per_image = 0};
    } else if (i == 0 && importer.fixed_batch() > 0 && !from.empty() && is_batch(from[0]) && extent.per_image == 0 &&
               extent.fixed == importer.fixed_batch()) {
      extent = from[0];  // the batch that the file was exported with
    }
    extents.push_back(extent);
  }
  const auto product = [](const std::vector<Extent>& list, std::int64_t batch) {
    std::vector<std::int64_t> dims;
    for (const Extent& extent : list) {
      const std::int64_t dim = extent.fixed + extent.per_image * batch;
      if (extent.per_image < 0 || extent.per_image > limits::kMaxExtent || dim < 0 || dim > limits::kMaxExtent) return std::int64_t{0};
      dims.push_back(dim);
    }
    return Shape(dims).element_count();
  };
  if (open) {
    const std::int64_t one = product(extents, 1);
    const std::int64_t two = product(extents, 2);
    if (one < 1 || two < 1 || src.one.element_count() % one != 0 || src.two.element_count() % two != 0) {
      fail(fixed_batch_error(importer), "node {}: Reshape of {} does not fit (found {} elements, need a multiple of {}); check the model.",
           Importer::node_text(node), src.one.to_string(), src.one.element_count(), one);
    }
    const std::int64_t growth = src.two.element_count() / two - src.one.element_count() / one;
    extents[*open] = {.fixed = src.one.element_count() / one - growth, .per_image = growth};
  }
  importer.emit_reshape(node, src, extents, node.outputs.front());
}

void import_squeeze(Importer& importer, const NodeProto& node) {
  const Activation& src = importer.activation(node, 0);
  const auto stated = importer.integers_or_attribute(node, 1, "axes");
  const std::vector<Extent> from = src.extents();
  std::set<std::size_t> axes;
  if (stated) {
    axes = axes_in(node, *stated, from.size());
  } else {
    for (std::size_t axis = 0; axis < from.size(); ++axis) {
      if (from[axis] == Extent{.fixed = 1, .per_image = 0}) axes.insert(axis);
    }
  }
  std::vector<Extent> extents;
  for (std::size_t axis = 0; axis < from.size(); ++axis) {
    if (!axes.contains(axis)) {
      extents.push_back(from[axis]);
    } else if (from[axis] != Extent{.fixed = 1, .per_image = 0}) {
      fail(from[axis].per_image != 0 ? ErrorCode::unsupported : ErrorCode::invalid_input,
           "node {}: Squeeze of axis {} of {} does not fit (need an extent of 1); check the model.", Importer::node_text(node), axis,
           src.one.to_string());
    }
  }
  importer.emit_reshape(node, src, extents, node.outputs.front());
}

void import_unsqueeze(Importer& importer, const NodeProto& node) {
  const Activation& src = importer.activation(node, 0);
  const auto stated = importer.integers_or_attribute(node, 1, "axes");
  if (!stated) Importer::refuse(node, "without axes makes no sense; check the model.");
  const std::vector<Extent> from = src.extents();
  const std::set<std::size_t> axes = axes_in(node, *stated, from.size() + stated->size());
  std::vector<Extent> extents;
  std::size_t next = 0;
  for (std::size_t axis = 0; axis < from.size() + axes.size(); ++axis) {
    extents.push_back(axes.contains(axis) || next == from.size() ? Extent{.fixed = 1, .per_image = 0} : from[next++]);
  }
  importer.emit_reshape(node, src, extents, node.outputs.front());
}

void import_expand(Importer& importer, const NodeProto& node) {
  const Activation& src = importer.activation(node, 0);
  const Constant target = importer.constant(node, 1);
  const std::vector<Extent> from = src.extents();
  bool stays = target.is_integer && target.ints.size() <= from.size();
  for (std::size_t i = 0; stays && i < target.ints.size(); ++i) {
    const Extent& wanted = target.ints[target.ints.size() - 1 - i];
    stays = wanted == Extent{.fixed = 1, .per_image = 0} || wanted == from[from.size() - 1 - i];
  }
  if (!stays) Importer::refuse(node, "that repeats computed values is not supported; rewrite the node.");
  importer.set_output(node, 0, src);
}

void import_transpose(Importer& importer, const NodeProto& node) {
  const Activation& src = importer.activation(node, 0);
  std::vector<std::int64_t> fallback(src.one.rank());
  std::iota(fallback.rbegin(), fallback.rend(), 0);
  std::vector<std::int64_t> perm = Importer::ints_attribute(node, "perm").value_or(fallback);
  std::vector<std::int64_t> same(src.one.rank());
  std::iota(same.begin(), same.end(), 0);
  if (perm == same) return importer.set_output(node, 0, src);
  importer.emit(node, "Transpose", {src.name}, {{"perm", std::move(perm)}}, node.outputs.front());
}

void import_pad(Importer& importer, const NodeProto& node) {
  const Activation& src = importer.activation(node, 0);
  std::map<std::string, Attribute> attributes;
  auto pads = importer.integers_or_attribute(node, 1, importer.opset() < 2 ? "paddings" : "pads");
  if (!pads) Importer::refuse(node, "without pads makes no sense; check the model.");
  if (Importer::has_input(node, 3)) {
    const std::vector<std::int64_t> stated = importer.integers(node, 3);
    if (pads->size() != 2 * stated.size())
      fail(ErrorCode::invalid_input, "node {}: Pad has {} pads for {} axes (need two an axis); check the model.", Importer::node_text(node),
           pads->size(), stated.size());
    std::vector<std::int64_t> all(2 * src.one.rank(), 0);
    for (std::size_t i = 0; i < stated.size(); ++i) {
      const std::size_t axis = axis_in(node, stated[i], src.one.rank());
      all[axis] = (*pads)[i];
      all[axis + src.one.rank()] = (*pads)[i + stated.size()];
    }
    pads = std::move(all);
  }
  if (std::ranges::all_of(*pads, [](std::int64_t pad) { return pad == 0; }) && pads->size() == 2 * src.one.rank()) {
    return importer.set_output(node, 0, src);
  }
  attributes["pads"] = std::move(*pads);
  if (node.attribute("value") != nullptr) attributes["value"] = Importer::float_attribute(node, "value", 0.0F);
  if (Importer::has_input(node, 2)) {
    const Constant found = importer.constant(node, 2);
    if (found.floats.size() != 1) Importer::refuse(node, "with a value that is no float number is not supported; check the model.");
    attributes["value"] = found.floats[0];
  }
  if (node.attribute("mode") != nullptr) attributes["mode"] = Importer::text_attribute(node, "mode", "constant");
  importer.emit(node, "Pad", {src.name}, std::move(attributes), node.outputs.front());
}

void import_slice(Importer& importer, const NodeProto& node) {
  const Activation& src = importer.activation(node, 0);
  const auto starts = importer.integers_or_attribute(node, 1, "starts");
  const auto ends = importer.integers_or_attribute(node, 2, "ends");
  if (!starts || !ends) Importer::refuse(node, "without starts and ends makes no sense; check the model.");
  std::vector<std::int64_t> axes(starts->size());
  std::iota(axes.begin(), axes.end(), 0);
  axes = importer.integers_or_attribute(node, 3, "axes").value_or(axes);
  std::vector<std::int64_t> steps = importer.integers_or_attribute(node, 4, "steps").value_or(std::vector<std::int64_t>(axes.size(), 1));
  if (starts->size() != ends->size() || axes.size() != starts->size() || steps.size() != starts->size()) {
    fail(ErrorCode::invalid_input, "node {}: Slice has {} starts, {} ends, {} axes and {} steps (need as many); check the model.",
         Importer::node_text(node), starts->size(), ends->size(), axes.size(), steps.size());
  }
  // Files write "to the end" as the largest integer of either width; the model's rule clamps any.
  std::vector<std::int64_t> kept_starts;
  std::vector<std::int64_t> kept_ends;
  std::vector<std::int64_t> kept_axes;
  std::vector<std::int64_t> kept_steps;
  const std::vector<Extent> from = src.extents();
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::size_t axis = axis_in(node, axes[i], from.size());
    if (from[axis].per_image != 0) {
      constexpr std::int64_t kToTheEnd = std::numeric_limits<std::int32_t>::max();
      const bool is_whole = (*starts)[i] == 0 && steps[i] == 1 &&
                            ((*ends)[i] >= kToTheEnd || (importer.fixed_batch() > 0 && (*ends)[i] >= importer.fixed_batch()));
      if (!is_whole) Importer::refuse(node, "of the batch is not supported; rewrite the node.");
      continue;
    }
    kept_starts.push_back((*starts)[i]);
    kept_ends.push_back((*ends)[i]);
    kept_axes.push_back(static_cast<std::int64_t>(axis));
    kept_steps.push_back(steps[i]);
  }
  if (kept_axes.empty()) return importer.set_output(node, 0, src);
  std::map<std::string, Attribute> attributes;
  attributes["starts"] = std::move(kept_starts);
  attributes["ends"] = std::move(kept_ends);
  attributes["axes"] = std::move(kept_axes);
  if (std::ranges::any_of(kept_steps, [](std::int64_t step) { return step != 1; })) attributes["steps"] = std::move(kept_steps);
  importer.emit(node, "Slice", {src.name}, std::move(attributes), node.outputs.front());
}

void import_split(Importer& importer, const NodeProto& node) {
  const Activation src = importer.activation(node, 0);
  const std::size_t axis = axis_in(node, Importer::int_attribute(node, "axis", 0), src.one.rank());
  const Extent whole = src.extents()[axis];
  if (whole.per_image != 0) Importer::refuse(node, "of the batch is not supported; rewrite the node.");
  auto sizes = importer.integers_or_attribute(node, 1, "split");
  if (!sizes) {
    const auto parts = static_cast<std::int64_t>(node.outputs.size());
    const std::int64_t size = (whole.fixed + parts - 1) / parts;
    sizes = std::vector<std::int64_t>(static_cast<std::size_t>(parts), size);
    sizes->back() = whole.fixed - size * (parts - 1);
  }
  if (sizes->size() != node.outputs.size() || std::accumulate(sizes->begin(), sizes->end(), std::int64_t{0}) != whole.fixed ||
      std::ranges::any_of(*sizes, [](std::int64_t size) { return size < 1; })) {
    fail(ErrorCode::invalid_input,
         "node {}: Split does not fit (found {} parts for {} outputs, need parts that sum up to {}); check the model.",
         Importer::node_text(node), sizes->size(), node.outputs.size(), whole.fixed);
  }
  std::int64_t start = 0;
  for (std::size_t i = 0; i < sizes->size(); ++i) {
    const std::int64_t end = start + (*sizes)[i];
    if (!node.outputs[i].empty()) {
      importer.emit(node, "Slice", {src.name},
                    {{"axes", std::vector<std::int64_t>{static_cast<std::int64_t>(axis)}},
                     {"ends", std::vector<std::int64_t>{end}},
                     {"starts", std::vector<std::int64_t>{start}}},
                    node.outputs[i]);
    }
    start = end;
  }
}

void import_gather(Importer& importer, const NodeProto& node) {
  const Activation src = importer.activation(node, 0);
  const std::size_t axis = axis_in(node, Importer::int_attribute(node, "axis", 0), src.one.rank());
  const Constant found = importer.constant(node, 1);
  std::vector<std::int64_t> indices = importer.integers(node, 1);
  const Extent whole = src.extents()[axis];
  if (whole.per_image != 0) Importer::refuse(node, "from the batch is not supported; rewrite the node.");
  for (std::int64_t& index : indices) {
    if (index < -whole.fixed || index >= whole.fixed) {
      fail(ErrorCode::invalid_input, "node {}: Gather takes an element that is not there (found {}, need {} to {}); check the model.",
           Importer::node_text(node), index, -whole.fixed, whole.fixed - 1);
    }
    if (index < 0) index += whole.fixed;
  }
  const bool keeps_rank = found.shape.rank() == 1;
  const std::string taken =
      importer.emit(node, "Gather", {src.name}, {{"axis", static_cast<std::int64_t>(axis)}, {"indices", std::move(indices)}},
                    keeps_rank ? node.outputs.front() : std::string());
  if (keeps_rank) return;
  const std::vector<Extent> from = src.extents();
  std::vector<Extent> extents(from.begin(), from.begin() + static_cast<std::ptrdiff_t>(axis));
  for (const std::int64_t dim : found.shape.dims()) extents.push_back({.fixed = dim, .per_image = 0});
  extents.insert(extents.end(), from.begin() + static_cast<std::ptrdiff_t>(axis) + 1, from.end());
  const Activation made = importer.activation_named(taken);
  importer.emit_reshape(node, made, extents, node.outputs.front());
}

void import_reduce_mean(Importer& importer, const NodeProto& node) {
  const Activation src = importer.activation(node, 0);
  const auto stated = importer.integers_or_attribute(node, 1, "axes");
  const bool keeps_rank = Importer::int_attribute(node, "keepdims", 1) != 0;
  if (!stated && Importer::int_attribute(node, "noop_with_empty_axes", 0) != 0) return importer.set_output(node, 0, src);
  if (!stated || stated->empty()) Importer::refuse(node, "over all axes is not supported (the batch is one of them); name the axes.");
  const std::set<std::size_t> axes = axes_in(node, *stated, src.one.rank());
  if (src.one.rank() == 4 && axes == std::set<std::size_t>{2, 3}) {
    const std::string mean = importer.emit(node, "GlobalAveragePool", {src.name}, {}, keeps_rank ? node.outputs.front() : std::string());
    if (keeps_rank) return;
    const Activation made = importer.activation_named(mean);
    const std::vector<Extent> extents = made.extents();
    importer.emit_reshape(node, made, {extents[0], extents[1]}, node.outputs.front());
    return;
  }
  std::map<std::string, Attribute> attributes;
  attributes["axes"] = *stated;
  if (node.attribute("keepdims") != nullptr) attributes["keepdims"] = static_cast<std::int64_t>(keeps_rank);
  importer.emit(node, "ReduceMean", {src.name}, std::move(attributes), node.outputs.front());
}

}  // namespace bitwright::onnx
