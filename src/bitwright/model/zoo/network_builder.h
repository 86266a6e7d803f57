// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bitwright/model/model.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bitwright {

// The builders named in zoo.inc.
#define BITWRIGHT_ZOO(name, builder, parameters, dataset, size, source) [[nodiscard]] Model builder();
#include "bitwright/model/zoo.inc"
#undef BITWRIGHT_ZOO

/// Writes a network down layer by layer. Each function adds one node with its weights (zero; batch norm: scale 1, variance 1) and returns
/// the name of the value it makes, which is the node's name. Weight names are PyTorch's: `<layer>.weight`, `<layer>.bias`, ….
class NetworkBuilder {
 public:
  struct ConvOptions {
    std::int64_t kernel = 3;
    std::int64_t stride = 1;
    std::int64_t pad = 0;
    std::int64_t group = 1;
  };
  struct PoolOptions {
    std::int64_t kernel = 3;
    std::int64_t stride = 2;
    std::int64_t pad = 0;
    enum class Extent { rounded_down, rounded_up } extent = Extent::rounded_down;  ///< of the output
  };

  /// A network of images of `channels` x `extent` x `extent`; its input is the value "input".
  NetworkBuilder(std::string name, std::int64_t channels, std::int64_t extent);

  std::string conv(const std::string& name, const std::string& src, std::int64_t in, std::int64_t out, ConvOptions options);
  std::string conv_without_bias(const std::string& name, const std::string& src, std::int64_t in, std::int64_t out, ConvOptions options);
  std::string batch_norm(const std::string& name, const std::string& src, std::int64_t channels, float epsilon = 1e-5F);
  std::string linear(const std::string& name, const std::string& src, std::int64_t in, std::int64_t out);
  std::string relu(const std::string& name, const std::string& src);
  /// Between 0 and 6.
  std::string relu6(const std::string& name, const std::string& src);
  /// Side by side along the channels.
  std::string concat(const std::string& name, std::vector<std::string> sources);
  std::string add(const std::string& name, const std::string& a, const std::string& b);
  std::string dropout(const std::string& name, const std::string& src, float ratio);
  std::string flatten(const std::string& name, const std::string& src);
  std::string global_average_pool(const std::string& name, const std::string& src);
  std::string max_pool(const std::string& name, const std::string& src, std::int64_t kernel, std::int64_t stride);
  std::string max_pool(const std::string& name, const std::string& src, PoolOptions options);
  /// As max_pool, with output extents rounded up (Caffe's rule).
  std::string max_pool_ceil(const std::string& name, const std::string& src, std::int64_t kernel, std::int64_t stride);
  /// Every second row and column.
  std::string halve(const std::string& name, const std::string& src);
  /// `pad` zero channels before and behind.
  std::string pad_channels(const std::string& name, const std::string& src, std::int64_t pad);

  /// Ends with the value `output` (logits).
  [[nodiscard]] Model finish(const std::string& output, InputTransform transform, std::vector<std::string> class_names) &&;

 private:
  std::string append(const std::string& name, Op op, std::vector<std::string> inputs, std::map<std::string, Attribute> attributes = {});
  std::string weight(const std::string& name, Shape shape, float value = 0.0F);
  Model model_;
};

/// What the data sets of the zoo bring along.
[[nodiscard]] InputTransform mnist_transform();     ///< mean and deviation of MNIST's training pixels
[[nodiscard]] InputTransform imagenet_transform();  ///< ImageNet's, which the published CIFAR ResNets were trained with too
[[nodiscard]] InputTransform cifar10_transform();   ///< mean and deviation of CIFAR-10's training pixels
[[nodiscard]] std::vector<std::string> mnist_classes();
[[nodiscard]] std::vector<std::string> cifar10_classes();

}  // namespace bitwright
