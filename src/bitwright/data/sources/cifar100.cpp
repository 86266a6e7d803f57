// SPDX-License-Identifier: Apache-2.0
// CIFAR-100 (Krizhevsky 2009, "Learning multiple layers of features from tiny images"), binary version, fine labels.
#include "bitwright/data/cifar_images.h"
#include "bitwright/data/sources/sources.h"

namespace bitwright {

DatasetSource source_cifar100() {
  return {
      .name = "cifar100",
      .files = {{"train.bin", 50000 * (2 + 3072), {"f31298fc616915fa142368359df1c4ca2ae984d6915ca468b998a5ec6aeebf29"}},
                {"test.bin", 10000 * (2 + 3072), {"d8b1e6b7b3bee4020055f0699b111f60b1af1e262aeb93a0b659061746f8224a"}}},
      .gzip_mirrors = {},
      .archives = {{"https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
                    "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec", "cifar-100-binary"}},
      .npm_packages = {},
      .debian_packages = {},
  };
}

std::unique_ptr<Dataset> open_cifar100(const std::filesystem::path& folder, Split split) {
  const DatasetFile& file = dataset_file(dataset_source("cifar100"), split == Split::train ? "train.bin" : "test.bin");
  return open_cifar_images({
      .name = "cifar100",
      .files = {{folder / file.name, file.bytes}},
      .label_bytes = 2,
      .class_names = {"apple",       "aquarium_fish", "baby",         "bear",         "beaver",     "bed",        "bee",       "beetle",
                      "bicycle",     "bottle",        "bowl",         "boy",          "bridge",     "bus",        "butterfly", "camel",
                      "can",         "castle",        "caterpillar",  "cattle",       "chair",      "chimpanzee", "clock",     "cloud",
                      "cockroach",   "couch",         "crab",         "crocodile",    "cup",        "dinosaur",   "dolphin",   "elephant",
                      "flatfish",    "forest",        "fox",          "girl",         "hamster",    "house",      "kangaroo",  "keyboard",
                      "lamp",        "lawn_mower",    "leopard",      "lion",         "lizard",     "lobster",    "man",       "maple_tree",
                      "motorcycle",  "mountain",      "mouse",        "mushroom",     "oak_tree",   "orange",     "orchid",    "otter",
                      "palm_tree",   "pear",          "pickup_truck", "pine_tree",    "plain",      "plate",      "poppy",     "porcupine",
                      "possum",      "rabbit",        "raccoon",      "ray",          "road",       "rocket",     "rose",      "sea",
                      "seal",        "shark",         "shrew",        "skunk",        "skyscraper", "snail",      "snake",     "spider",
                      "squirrel",    "streetcar",     "sunflower",    "sweet_pepper", "table",      "tank",       "telephone", "television",
                      "tiger",       "tractor",       "train",        "trout",        "tulip",      "turtle",     "wardrobe",  "whale",
                      "willow_tree", "wolf",          "woman",        "worm"},
  });
}

}  // namespace bitwright
