// SPDX-License-Identifier: Apache-2.0
// Runs an ONNX file in ONNX Runtime: node run_onnx.js MODULES MODEL INPUT OUTPUT EXTENTS
// INPUT and OUTPUT hold float32 values; EXTENTS are those of one image, e.g. 1,28,28. Optimizations of graphs are on, as a client has them.
'use strict';
const fs = require('fs');
const path = require('path');
const [modules, model, input, output, extents] = process.argv.slice(2);
const ort = require(path.join(modules, 'onnxruntime-node'));

async function main() {
  const session = await ort.InferenceSession.create(model, {intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3});
  const bytes = fs.readFileSync(input);
  const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const dims = extents.split(',').map(Number);
  const size = dims.reduce((a, b) => a * b, 1);
  const images = values.length / size;
  const results = [];
  for (let first = 0; first < images; first += 100) {
    const count = Math.min(100, images - first);
    const batch = new ort.Tensor('float32', values.slice(first * size, (first + count) * size), [count, ...dims]);
    const answer = await session.run({[session.inputNames[0]]: batch});
    results.push(Buffer.from(Float32Array.from(answer[session.outputNames[0]].data).buffer));
  }
  fs.writeFileSync(output, Buffer.concat(results));
}

main().catch((error) => {
  console.error(String(error.message || error));
  process.exit(1);
});
