// SPDX-License-Identifier: Apache-2.0
// The runtime as a library: a packed model and an image in, the class out.
#include "bitwright/core/error.h"
#include "bitwright/data/image_file.h"
#include "bitwright/runtime/session.h"

#include <algorithm>
#include <iostream>

namespace {

void classify(const char* packed_file, const char* image_file) {
  bitwright::Session session = bitwright::Session::open(packed_file);
  const bitwright::Image image = bitwright::fit_image(bitwright::read_image(image_file), session.input_shape());
  std::vector<float> input(image.pixels.size());
  std::vector<float> scores(session.output_shape().element_count());
  bitwright::transform_image(session.model().input_transform, image.pixels, image.shape, input);
  session.run(input, scores);
  const auto best = std::max_element(scores.begin(), scores.end()) - scores.begin();
  std::cout << session.model().class_names.at(best) << '\n';
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) throw bitwright::Error(bitwright::ErrorCode::usage, "usage: classify NET.bw IMAGE");
  classify(argv[1], argv[2]);
} catch (const bitwright::Error& error) {
  std::cerr << error.message() << '\n';
  return bitwright::exit_code(error.code());
}
