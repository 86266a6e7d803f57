// SPDX-License-Identifier: Apache-2.0
// ONNX Runtime as a child of the program `peers`: node onnx_runtime_peer.js MODULES. One JSON object a line in, one a line out; `error` in an
// answer says what went wrong. Times are taken here, around the native call, so neither the pipe nor node's event loop is in them.
//   {"do": "load", "name", "file", "threads"}            -> {}
//   {"do": "input", "file", "dims"}                      -> {}             float32 values, for all runs from then on
//   {"do": "run", "name", "repeats"}                     -> {"ns": [...]}  one untimed run, then that many timed ones
//   {"do": "output", "name", "file"}                     -> {}             values of the last run
//   {"do": "ranges", "name"}                             -> {"ranges": {value: [lowest, highest]}}
//   {"do": "release", "name"}                            -> {}
'use strict';
const fs = require('fs');
const path = require('path');
const readline = require('readline');

const folder = path.join(process.argv[2], 'onnxruntime-node');
const ort = require(folder);
const native = require(path.join(folder, 'dist', 'binding.js'));
if (native.initOrt) native.initOrt();

const sessions = new Map();
let input = null;

function runOnce(session) {
  const fetches = {};
  for (const name of session.outputs) fetches[name] = null;
  return session.native.run({[session.input]: input}, fetches, {});
}

// Newer versions describe values, older ones name them.
const nameOf = (value) => (typeof value === 'string' ? value : value.name);

const commands = {
  version: () => ({version: JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8')).version}),
  load: (ask) => {
    const session = {native: new native.binding.InferenceSession()};
    session.native.loadModel(ask.file, {intraOpNumThreads: ask.threads, interOpNumThreads: 1, logSeverityLevel: 3});
    session.input = nameOf((session.native.inputNames || session.native.inputMetadata)[0]);
    session.outputs = (session.native.outputNames || session.native.outputMetadata).map(nameOf);
    sessions.set(ask.name, session);
    return {};
  },
  input: (ask) => {
    const bytes = fs.readFileSync(ask.file);
    const values = new Float32Array(bytes.length / 4);
    Buffer.from(values.buffer).set(bytes);
    input = new ort.Tensor('float32', values, ask.dims);
    return {};
  },
  run: (ask) => {
    const session = sessions.get(ask.name);
    session.last = runOnce(session);
    const ns = [];
    for (let i = 0; i < ask.repeats; ++i) {
      const start = process.hrtime.bigint();
      session.last = runOnce(session);
      ns.push(Number(process.hrtime.bigint() - start));
    }
    return {ns};
  },
  output: (ask) => {
    const session = sessions.get(ask.name);
    const values = Float32Array.from(session.last[session.outputs[0]].data);
    fs.writeFileSync(ask.file, Buffer.from(values.buffer));
    return {};
  },
  ranges: (ask) => {
    const session = sessions.get(ask.name);
    const answer = runOnce(session);
    const ranges = {};
    for (const name of session.outputs) {
      let lowest = Infinity;
      let highest = -Infinity;
      for (const value of answer[name].data) {
        if (value < lowest) lowest = value;
        if (value > highest) highest = value;
      }
      ranges[name] = [lowest, highest];
    }
    return {ranges};
  },
  release: (ask) => {
    const session = sessions.get(ask.name);
    sessions.delete(ask.name);
    if (session && session.native.dispose) session.native.dispose();
    if (global.gc) global.gc();
    return {};
  },
};

readline.createInterface({input: process.stdin}).on('line', (line) => {
  let answer;
  try {
    const ask = JSON.parse(line);
    if (!commands[ask.do]) throw new Error(`unknown command ${ask.do}`);
    answer = commands[ask.do](ask);
  } catch (error) {
    answer = {error: String(error.message || error)};
  }
  process.stdout.write(JSON.stringify(answer) + '\n');
});
