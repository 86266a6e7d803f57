// SPDX-License-Identifier: Apache-2.0
// Constants computed at import: shape arithmetic as exporters write it, in integers that may depend on the batch, and small float tensors.
#include "bitwright/core/error.h"
#include "bitwright/model/limits.h"
#include "bitwright/onnx/importer.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

namespace bitwright::onnx {
namespace {

constexpr std::int64_t kMaxFolded = 1 << 20;  // elements of a computed constant: masks and tables, never weights

[[noreturn]] void fail_fit(const NodeProto& node, std::string_view what) {
  fail(ErrorCode::invalid_input, "node {}: {} of constants does not fit ({}); check the model.", Importer::node_text(node), node.op_type,
       what);
}

std::int64_t checked_count(const NodeProto& node, const std::vector<std::int64_t>& dims) {
  if (dims.size() > limits::kMaxTensorRank) Importer::refuse(node, "of constants with so many axes is not supported; check the model.");
  std::int64_t count = 1;
  for (const std::int64_t dim : dims) {
    if (dim < 0 || dim > kMaxFolded || (count *= dim) > kMaxFolded) {
      Importer::refuse(node, fmt::format("makes a constant that is not supported (found {}, need at most {} elements); check the model.",
                                         Shape(dims).to_string(), kMaxFolded));
    }
  }
  return count;
}

std::size_t axis_in(const NodeProto& node, std::int64_t axis, std::size_t rank) {
  const auto signed_rank = static_cast<std::int64_t>(rank);
  if (axis < -signed_rank || axis >= signed_rank) fail_fit(node, fmt::format("axis {} of {} axes", axis, rank));
  return static_cast<std::size_t>(axis < 0 ? axis + signed_rank : axis);
}

/// The constant made of the elements at these positions of `src`.
Constant pick(const Constant& src, std::vector<std::int64_t> dims, const std::vector<std::size_t>& positions) {
  Constant dst{.shape = Shape(std::move(dims)), .is_integer = src.is_integer, .ints = {}, .floats = {}};
  for (const std::size_t at : positions) {
    if (src.is_integer) {
      dst.ints.push_back(src.ints[at]);
    } else {
      dst.floats.push_back(src.floats[at]);
    }
  }
  return dst;
}

std::vector<std::size_t> strides_of(const Shape& shape) {
  std::vector<std::size_t> strides(shape.rank(), 1);
  for (std::size_t axis = shape.rank(); axis-- > 1;) strides[axis - 1] = strides[axis] * static_cast<std::size_t>(shape[axis]);
  return strides;
}

/// Position in a tensor of `shape`, broadcast to `dims`, of each element of `dims`.
std::vector<std::size_t> broadcast_positions(const Shape& shape, const std::vector<std::int64_t>& dims) {
  const std::vector<std::size_t> strides = strides_of(shape);
  const std::int64_t count = Shape(dims).element_count();
  std::vector<std::size_t> positions;
  for (std::int64_t i = 0; i < count; ++i) {
    std::size_t at = 0;
    std::int64_t rest = i;
    for (std::size_t back = 0; back < dims.size(); ++back) {
      const std::int64_t dim = dims[dims.size() - 1 - back];
      const std::int64_t index = rest % dim;
      rest /= dim;
      if (back >= shape.rank()) continue;
      const std::size_t axis = shape.rank() - 1 - back;
      if (shape[axis] != 1) at += static_cast<std::size_t>(index) * strides[axis];
    }
    positions.push_back(at);
  }
  return positions;
}

std::vector<std::int64_t> broadcast_dims(const NodeProto& node, const Shape& a, const Shape& b) {
  std::vector<std::int64_t> dims(std::max(a.rank(), b.rank()), 1);
  for (const Shape* shape : {&a, &b}) {
    for (std::size_t back = 0; back < shape->rank(); ++back) {
      const std::int64_t extent = (*shape)[shape->rank() - 1 - back];
      std::int64_t& dim = dims[dims.size() - 1 - back];
      if (extent != 1 && dim != 1 && extent != dim) fail_fit(node, fmt::format("{} and {}", a.to_string(), b.to_string()));
      if (extent != 1) dim = extent;
    }
  }
  (void)checked_count(node, dims);
  return dims;
}

__extension__ using Wide = __int128;  // a product of two numbers of the file

std::int64_t checked(const NodeProto& node, Wide value) {
  if (value > INT64_MAX / 4 || value < INT64_MIN / 4) Importer::refuse(node, "of such large constants is not supported; check the model.");
  return static_cast<std::int64_t>(value);
}

Extent arithmetic(const NodeProto& node, const Extent& a, const Extent& b) {
  const std::string& op = node.op_type;
  const Wide af = a.fixed;
  const Wide an = a.per_image;
  if (op == "Add") return {.fixed = checked(node, af + b.fixed), .per_image = checked(node, an + b.per_image)};
  if (op == "Sub") return {.fixed = checked(node, af - b.fixed), .per_image = checked(node, an - b.per_image)};
  if (op == "Mul" && b.per_image == 0) return {.fixed = checked(node, af * b.fixed), .per_image = checked(node, an * b.fixed)};
  if (op == "Mul" && a.per_image == 0) return {.fixed = checked(node, af * b.fixed), .per_image = checked(node, af * b.per_image)};
  if (op == "Div" && b.per_image == 0 && b.fixed != 0 && (a.per_image == 0 || (a.per_image % b.fixed == 0 && a.fixed % b.fixed == 0))) {
    return {.fixed = a.fixed / b.fixed, .per_image = a.per_image / b.fixed};
  }
  if (op == "Equal" && a.per_image == b.per_image) return {.fixed = a.fixed == b.fixed ? 1 : 0, .per_image = 0};
  // A batch is at least one, so a number below zero, as in "is it -1?", never equals it.
  if (op == "Equal" && (a.per_image == 0 ? a.fixed : b.fixed) < 0) return {};
  Importer::refuse(node, "of these constants is not supported (it depends on the batch or divides by zero); rewrite the node.");
}

float arithmetic(const NodeProto& node, float a, float b) {
  const std::string& op = node.op_type;
  if (op == "Add") return a + b;
  if (op == "Sub") return a - b;
  if (op == "Mul") return a * b;
  if (op == "Div") return a / b;
  if (op == "Pow") return std::pow(a, b);
  Importer::refuse(node, "of float constants is not supported; rewrite the node.");
}

Constant fold_binary(Importer& importer, const NodeProto& node) {
  const Constant a = importer.constant(node, 0);
  const Constant b = importer.constant(node, 1);
  if (a.is_integer != b.is_integer) fail_fit(node, "integers and floats");
  const std::vector<std::int64_t> dims = broadcast_dims(node, a.shape, b.shape);
  const std::vector<std::size_t> from_a = broadcast_positions(a.shape, dims);
  const std::vector<std::size_t> from_b = broadcast_positions(b.shape, dims);
  Constant result{.shape = Shape(dims), .is_integer = a.is_integer, .ints = {}, .floats = {}};
  for (std::size_t i = 0; i < from_a.size(); ++i) {
    if (a.is_integer) {
      result.ints.push_back(arithmetic(node, a.ints[from_a[i]], b.ints[from_b[i]]));
    } else {
      result.floats.push_back(arithmetic(node, a.floats[from_a[i]], b.floats[from_b[i]]));
    }
  }
  return result;
}

Constant fold_unary(Importer& importer, const NodeProto& node, const std::function<float(float)>& apply) {
  Constant result = importer.constant(node, 0);
  (void)checked_count(node, result.shape.dims());
  if (result.is_integer) {
    if (node.op_type != "Neg") Importer::refuse(node, "of integer constants is not supported; rewrite the node.");
    for (Extent& extent : result.ints)
      extent = {.fixed = checked(node, -static_cast<Wide>(extent.fixed)), .per_image = checked(node, -static_cast<Wide>(extent.per_image))};
    return result;
  }
  for (float& value : result.floats) value = apply(value);
  return result;
}

Constant fold_reshape(Importer& importer, const NodeProto& node) {
  Constant result = importer.constant(node, 0);
  std::vector<std::int64_t> dims = importer.integers(node, 1);
  const std::int64_t count = result.shape.element_count();
  std::int64_t known = 1;
  std::optional<std::size_t> open;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 0 && i < result.shape.rank()) dims[i] = result.shape[i];
    if (dims[i] == -1 && !open) {
      open = i;
    } else {
      if (dims[i] < 0 || dims[i] > limits::kMaxExtent || (dims[i] > 0 && known > (std::int64_t{1} << 40) / dims[i]))
        fail_fit(node, "the shape");
      known *= dims[i];
    }
  }
  if (open && known > 0) dims[*open] = count / known;
  if (dims.size() > limits::kMaxTensorRank || (open && (known <= 0 || count % known != 0)) || (!open && known != count)) {
    fail_fit(node, fmt::format("{} elements to {}", count, Shape(dims).to_string()));
  }
  result.shape = Shape(std::move(dims));
  return result;
}

Constant fold_squeeze(Importer& importer, const NodeProto& node) {
  Constant result = importer.constant(node, 0);
  const auto stated = importer.integers_or_attribute(node, 1, "axes");
  std::set<std::size_t> axes;
  const bool adds = node.op_type == "Unsqueeze";
  const std::size_t rank = result.shape.rank() + (adds && stated ? stated->size() : 0);
  for (const std::int64_t axis : stated.value_or(std::vector<std::int64_t>{})) axes.insert(axis_in(node, axis, rank));
  std::vector<std::int64_t> dims;
  if (adds) {
    std::size_t next = 0;
    for (std::size_t axis = 0; axis < result.shape.rank() + axes.size(); ++axis) {
      dims.push_back(axes.contains(axis) || next == result.shape.rank() ? 1 : result.shape[next++]);
    }
  } else {
    for (std::size_t axis = 0; axis < rank; ++axis) {
      const bool goes = stated ? axes.contains(axis) : result.shape[axis] == 1;
      if (goes && result.shape[axis] != 1) fail_fit(node, "an extent that is not 1");
      if (!goes) dims.push_back(result.shape[axis]);
    }
  }
  if (dims.size() > limits::kMaxTensorRank) fail_fit(node, "too many axes");
  result.shape = Shape(std::move(dims));
  return result;
}

Constant fold_concat(Importer& importer, const NodeProto& node) {
  std::vector<Constant> parts;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) parts.push_back(importer.constant(node, i));
  if (parts.empty()) fail_fit(node, "no inputs");
  const std::size_t axis = axis_in(node, Importer::int_attribute(node, "axis", 0), parts[0].shape.rank());
  std::vector<std::int64_t> dims = parts[0].shape.dims();
  dims[axis] = 0;
  for (const Constant& part : parts) {
    if (part.is_integer != parts[0].is_integer || part.shape.rank() != dims.size()) fail_fit(node, "parts of different kinds");
    for (std::size_t other = 0; other < dims.size(); ++other) {
      if (other != axis && part.shape[other] != dims[other]) fail_fit(node, "parts of different extents");
    }
    dims[axis] += part.shape[axis];
  }
  (void)checked_count(node, dims);
  std::int64_t outer = 1;
  for (std::size_t other = 0; other < axis; ++other) outer *= dims[other];
  Constant result{.shape = Shape(dims), .is_integer = parts[0].is_integer, .ints = {}, .floats = {}};
  for (std::int64_t row = 0; row < outer; ++row) {
    for (const Constant& part : parts) {
      const std::int64_t run = part.shape.element_count() / outer;
      const auto first = static_cast<std::ptrdiff_t>(row * run);
      const auto last = static_cast<std::ptrdiff_t>((row + 1) * run);
      if (part.is_integer) {
        result.ints.insert(result.ints.end(), part.ints.begin() + first, part.ints.begin() + last);
      } else {
        result.floats.insert(result.floats.end(), part.floats.begin() + first, part.floats.begin() + last);
      }
    }
  }
  return result;
}

/// Elements of `src` along one axis, in the order of `indices`, with `inserted` in place of the axis.
Constant take(const NodeProto& node, const Constant& src, std::size_t axis, const std::vector<std::int64_t>& indices,
              const std::vector<std::int64_t>& inserted) {
  std::vector<std::int64_t> dims(src.shape.dims().begin(), src.shape.dims().begin() + static_cast<std::ptrdiff_t>(axis));
  dims.insert(dims.end(), inserted.begin(), inserted.end());
  dims.insert(dims.end(), src.shape.dims().begin() + static_cast<std::ptrdiff_t>(axis) + 1, src.shape.dims().end());
  (void)checked_count(node, dims);
  std::int64_t outer = 1;
  for (std::size_t other = 0; other < axis; ++other) outer *= src.shape[other];
  const std::int64_t extent = src.shape[axis];
  const std::int64_t inner = outer * extent == 0 ? 0 : src.shape.element_count() / (outer * extent);
  std::vector<std::size_t> positions;
  for (std::int64_t row = 0; row < outer; ++row) {
    for (const std::int64_t index : indices) {
      const std::int64_t at = index < 0 ? index + extent : index;
      if (at < 0 || at >= extent) fail_fit(node, fmt::format("element {} of {}", index, extent));
      for (std::int64_t k = 0; k < inner; ++k) positions.push_back(static_cast<std::size_t>((row * extent + at) * inner + k));
    }
  }
  return pick(src, std::move(dims), positions);
}

Constant fold_gather(Importer& importer, const NodeProto& node) {
  const Constant src = importer.constant(node, 0);
  const Constant indices = importer.constant(node, 1);
  const std::size_t axis = axis_in(node, Importer::int_attribute(node, "axis", 0), src.shape.rank());
  return take(node, src, axis, importer.integers(node, 1), indices.shape.dims());
}

Constant fold_slice(Importer& importer, const NodeProto& node) {
  Constant result = importer.constant(node, 0);
  const auto starts = importer.integers_or_attribute(node, 1, "starts");
  const auto ends = importer.integers_or_attribute(node, 2, "ends");
  const auto axes = importer.integers_or_attribute(node, 3, "axes");
  const auto steps = importer.integers_or_attribute(node, 4, "steps");
  if (!starts || !ends || starts->size() != ends->size() || (axes && axes->size() != starts->size()) ||
      (steps && steps->size() != starts->size())) {
    fail_fit(node, "lists of different lengths");
  }
  for (std::size_t i = 0; i < starts->size(); ++i) {
    const std::size_t axis = axis_in(node, axes ? (*axes)[i] : static_cast<std::int64_t>(i), result.shape.rank());
    const std::int64_t extent = result.shape[axis];
    const std::int64_t step = steps ? (*steps)[i] : 1;
    if (step == 0 || std::abs(step) > limits::kMaxExtent) fail_fit(node, fmt::format("step {}", step));
    const auto place = [extent](std::int64_t position, std::int64_t low, std::int64_t high) {
      return std::clamp(position < 0 ? std::max(position, -extent - 1) + extent : position, low, high);
    };
    std::vector<std::int64_t> indices;
    if (step > 0) {
      for (std::int64_t at = place((*starts)[i], 0, extent); at < place((*ends)[i], 0, extent); at += step) indices.push_back(at);
    } else {
      for (std::int64_t at = place((*starts)[i], -1, extent - 1); at > place((*ends)[i], -1, extent - 1); at += step) indices.push_back(at);
    }
    result = take(node, result, axis, indices, {std::ssize(indices)});
  }
  return result;
}

Constant fold_transpose(Importer& importer, const NodeProto& node) {
  const Constant src = importer.constant(node, 0);
  const std::size_t rank = src.shape.rank();
  std::vector<std::int64_t> perm(rank);
  std::iota(perm.rbegin(), perm.rend(), 0);
  perm = Importer::ints_attribute(node, "perm").value_or(perm);
  std::vector<std::int64_t> sorted = perm;
  std::ranges::sort(sorted);
  std::vector<std::int64_t> all(rank);
  std::iota(all.begin(), all.end(), 0);
  if (sorted != all) fail_fit(node, "the order of axes");
  std::vector<std::int64_t> dims;
  for (const std::int64_t axis : perm) dims.push_back(src.shape[static_cast<std::size_t>(axis)]);
  const std::vector<std::size_t> strides = strides_of(src.shape);
  std::vector<std::size_t> positions;
  const std::int64_t count = src.shape.element_count();
  for (std::int64_t i = 0; i < count; ++i) {
    std::size_t at = 0;
    std::int64_t rest = i;
    for (std::size_t axis = rank; axis-- > 0;) {
      at += static_cast<std::size_t>(rest % dims[axis]) * strides[static_cast<std::size_t>(perm[axis])];
      rest /= dims[axis];
    }
    positions.push_back(at);
  }
  return pick(src, std::move(dims), positions);
}

Constant fold_expand(Importer& importer, const NodeProto& node) {
  const Constant src = importer.constant(node, 0);
  const std::vector<std::int64_t> dims = broadcast_dims(node, src.shape, Shape(importer.integers(node, 1)));
  return pick(src, dims, broadcast_positions(src.shape, dims));
}

Constant fold_where(Importer& importer, const NodeProto& node) {
  const Constant condition = importer.constant(node, 0);
  const Constant yes = importer.constant(node, 1);
  const Constant no = importer.constant(node, 2);
  if (!condition.is_integer || yes.is_integer != no.is_integer) fail_fit(node, "values of different kinds");
  const std::vector<std::int64_t> dims = broadcast_dims(node, Shape(broadcast_dims(node, yes.shape, no.shape)), condition.shape);
  const Constant picked_yes = pick(yes, dims, broadcast_positions(yes.shape, dims));
  Constant result = pick(no, dims, broadcast_positions(no.shape, dims));
  const std::vector<std::size_t> from = broadcast_positions(condition.shape, dims);
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (condition.ints[from[i]] == Extent{}) continue;
    if (result.is_integer) {
      result.ints[i] = picked_yes.ints[i];
    } else {
      result.floats[i] = picked_yes.floats[i];
    }
  }
  return result;
}

Constant fold_cast(Importer& importer, const NodeProto& node) {
  Constant src = importer.constant(node, 0);
  const auto to = static_cast<DataType>(Importer::int_attribute(node, "to", 0));
  if (TensorBytes::is_float(to) == !src.is_integer) {
    if (to == DataType::boolean && src.is_integer) {
      for (Extent& extent : src.ints) extent = {.fixed = extent == Extent{} ? 0 : 1, .per_image = 0};
    }
    return src;
  }
  Constant result{.shape = src.shape, .is_integer = !src.is_integer, .ints = {}, .floats = {}};
  for (const Extent& extent : src.ints) {
    if (extent.per_image != 0) Importer::refuse(node, "of the batch to floats is not supported; rewrite the node.");
    result.floats.push_back(static_cast<float>(extent.fixed));
  }
  for (const float value : src.floats) {
    if (!(std::abs(value) < 9e18F)) Importer::refuse(node, "of such large floats to integers is not supported; check the model.");
    result.ints.push_back({.fixed = to == DataType::boolean ? value != 0.0F : static_cast<std::int64_t>(value), .per_image = 0});
  }
  return result;
}

Constant fold_constant_node(Importer& importer, const NodeProto& node) {
  if (const AttributeProto* attribute = node.attribute("value_float"))
    return {.shape = Shape(), .is_integer = false, .ints = {}, .floats = {attribute->f}};
  if (const AttributeProto* attribute = node.attribute("value_int"))
    return {.shape = Shape(), .is_integer = true, .ints = {{.fixed = attribute->i, .per_image = 0}}, .floats = {}};
  Constant list;
  if (const AttributeProto* attribute = node.attribute("value_floats")) {
    list.floats = attribute->floats;
    list.shape = Shape{std::ssize(list.floats)};
    return list;
  }
  if (const AttributeProto* attribute = node.attribute("value_ints")) {
    for (const std::int64_t value : attribute->ints) list.ints.push_back({.fixed = value, .per_image = 0});
    list.is_integer = true;
    list.shape = Shape{std::ssize(list.ints)};
    return list;
  }
  (void)importer;
  Importer::refuse(node, "without a tensor, a number or a list is not supported; check the model.");
}

Constant fold_constant_of_shape(Importer& importer, const NodeProto& node) {
  const std::vector<std::int64_t> dims = importer.integers(node, 0);
  const auto count = static_cast<std::size_t>(checked_count(node, dims));
  Constant result{.shape = Shape(dims), .is_integer = false, .ints = {}, .floats = {}};
  const AttributeProto* attribute = node.attribute("value");
  if (attribute != nullptr && attribute->t && !TensorBytes::is_float(attribute->t->data_type)) {
    result.is_integer = true;
    const std::vector<std::int64_t> value = importer.tensors().integers(*attribute->t);
    if (value.size() != 1) fail_fit(node, "a value that is no single number");
    result.ints.assign(count, {.fixed = value[0], .per_image = 0});
    return result;
  }
  const std::vector<float> value =
      attribute != nullptr && attribute->t ? importer.tensors().floats(*attribute->t) : std::vector<float>{0.0F};
  if (value.size() != 1) fail_fit(node, "a value that is no single number");
  result.floats.assign(count, value[0]);
  return result;
}

Constant shape_of(const Activation& activation, const NodeProto& node) {
  const std::vector<Extent> extents = activation.extents();
  const auto rank = std::ssize(extents);
  const auto place = [rank](std::int64_t position) { return std::clamp<std::int64_t>(position < 0 ? position + rank : position, 0, rank); };
  const std::int64_t start = place(std::max(Importer::int_attribute(node, "start", 0), -rank));
  const std::int64_t end = place(std::max(Importer::int_attribute(node, "end", rank), -rank));
  Constant result{.shape = Shape{std::max<std::int64_t>(end - start, 0)}, .is_integer = true, .ints = {}, .floats = {}};
  for (std::int64_t axis = start; axis < end; ++axis) result.ints.push_back(extents[static_cast<std::size_t>(axis)]);
  return result;
}

}  // namespace

bool fold_constant(Importer& importer, const NodeProto& node) {
  const std::string& op = node.op_type;
  if (node.outputs.empty()) Importer::refuse(node, "without outputs makes no sense; check the model.");
  if (op == "Constant") {
    // A tensor keeps its bytes where they are, as an initializer does.
    if (const AttributeProto* attribute = node.attribute("value"); attribute != nullptr && attribute->t) {
      importer.set_output(node, 0, &*attribute->t);
    } else {
      importer.set_output(node, 0, fold_constant_node(importer, node));
    }
    return true;
  }
  if (op == "Shape") {
    if (const auto* activation = std::get_if<Activation>(&importer.value(node, 0))) {
      importer.set_output(node, 0, shape_of(*activation, node));
      return true;
    }
  }
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (Importer::has_input(node, i) && !importer.is_constant(node, i)) return false;
  }
  if (node.inputs.empty()) return false;
  Constant result;
  if (op == "Shape") {
    const Shape shape = importer.constant(node, 0).shape;
    for (const std::int64_t dim : shape.dims()) result.ints.push_back({.fixed = dim, .per_image = 0});
    result.is_integer = true;
    result.shape = Shape{std::ssize(result.ints)};
  } else if (op == "Add" || op == "Sub" || op == "Mul" || op == "Div" || op == "Pow" || op == "Equal") {
    result = fold_binary(importer, node);
  } else if (op == "Sqrt") {
    result = fold_unary(importer, node, [](float value) { return std::sqrt(value); });
  } else if (op == "Neg") {
    result = fold_unary(importer, node, [](float value) { return -value; });
  } else if (op == "Abs") {
    result = fold_unary(importer, node, [](float value) { return std::abs(value); });
  } else if (op == "Exp") {
    result = fold_unary(importer, node, [](float value) { return std::exp(value); });
  } else if (op == "Reshape") {
    result = fold_reshape(importer, node);
  } else if (op == "Squeeze" || op == "Unsqueeze") {
    result = fold_squeeze(importer, node);
  } else if (op == "Concat") {
    result = fold_concat(importer, node);
  } else if (op == "Gather") {
    result = fold_gather(importer, node);
  } else if (op == "Slice") {
    result = fold_slice(importer, node);
  } else if (op == "Transpose") {
    result = fold_transpose(importer, node);
  } else if (op == "Expand") {
    result = fold_expand(importer, node);
  } else if (op == "Where") {
    result = fold_where(importer, node);
  } else if (op == "Cast") {
    result = fold_cast(importer, node);
  } else if (op == "ConstantOfShape") {
    result = fold_constant_of_shape(importer, node);
  } else {
    return false;
  }
  importer.set_output(node, 0, std::move(result));
  return true;
}

}  // namespace bitwright::onnx
