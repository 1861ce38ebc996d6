import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BODIES_AT_ONCE, toCountingSink } from './to-counting-sink.js';

// The floor of replay to an HTTP sink: the batch files of a folder, each read and posted, a few at a time.
// Called as: node dist/bench/post-files.js DIR PORT

const [dir = '', port = ''] = process.argv.slice(2);
const sink = toCountingSink(Number(port));
const startMs = performance.now();
const names = readdirSync(dir).filter((name) => name.startsWith('batch_'));
let next = 0;
await Promise.all(
  Array.from({ length: BODIES_AT_ONCE }, async () => {
    for (let name = names[next++]; name !== undefined; name = names[next++]) {
      await sink.post(await readFile(join(dir, name)));
    }
  }),
);
console.log(JSON.stringify({ seconds: (performance.now() - startMs) / 1000 }));
await sink.close();
