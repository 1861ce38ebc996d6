import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { openDoor } from './door.js';

// node:http and a file: each event is appended and flushed by itself, one after the other in the order they came.
// Called as: node dist/bench/rivals/flush-each.js FILE

const [path = ''] = process.argv.slice(2);
const file = await open(path, 'ax');
let last: Promise<void> = Promise.resolve();

async function append(text: string): Promise<void> {
  const line = Buffer.from(`${text}\n`);
  const { bytesWritten } = await file.write(line);
  if (bytesWritten !== line.length) throw new Error('short write');
  await file.datasync();
}

async function countLines(): Promise<number> {
  let lines = 0;
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) lines++;
  }
  return lines;
}

openDoor('flush-each', {
  async keep(text) {
    last = last.then(async () => append(text));
    return last;
  },
  count: countLines,
});
