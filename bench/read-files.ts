import { close, fstat, open, read, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

// The floor of replay: the batch files of a folder, each opened, read whole and closed, a few at a time.
// Called as: node dist/bench/read-files.js DIR

/** As many as Node's thread pool has threads. */
const FILES_AT_ONCE = 4;

const calls = { open: promisify(open), fstat: promisify(fstat), close: promisify(close) };

const [dir = ''] = process.argv.slice(2);
const startMs = performance.now();
const names = readdirSync(dir).filter((name) => name.startsWith('batch_'));
let next = 0;
let bytes = 0;
await Promise.all(Array.from({ length: FILES_AT_ONCE }, reader));
console.log(JSON.stringify({ files: next, bytes, seconds: (performance.now() - startMs) / 1000 }));

async function reader(): Promise<void> {
  for (;;) {
    const name = names[next];
    if (name === undefined) return;
    next++;
    bytes += await readWhole(join(dir, name));
  }
}

async function readWhole(path: string): Promise<number> {
  const fd = await calls.open(path, 'r');
  const { size } = await calls.fstat(fd);
  const content = Buffer.allocUnsafe(size);
  const length = await new Promise<number>((resolve, reject) => {
    read(fd, content, 0, size, 0, (error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
  await calls.close(fd);
  if (length !== size) throw new Error(`${path}: ${length} of ${size} bytes read`);
  return length;
}
