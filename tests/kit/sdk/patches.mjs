// Applies patches with the stock SDK's decoder. Each line on stdin is a JSON array: the text before, the patch, the JSON
// text that it must make. Says how many were right, or what was not.
import { createInterface } from 'node:readline';
import { Centrifuge } from 'centrifuge';

const codec = new Centrifuge('ws://127.0.0.1/')._codec;
let right = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const [source, patch, target] = JSON.parse(line);
  const { newPrevValue } = codec.applyDeltaIfNeeded({ data: source, delta: false }, undefined);
  const { newData } = codec.applyDeltaIfNeeded({ data: patch, delta: true }, newPrevValue);
  if (JSON.stringify(newData) !== JSON.stringify(JSON.parse(target))) {
    console.log('wrong', line);
    process.exit(0);
  }
  right += 1;
}
console.log(right, 'right');
