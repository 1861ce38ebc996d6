import t from 'tap';
import { BodyBuffer } from '../../lib/sources/body-buffer.js';

const MIB = 1024 * 1024;

/** Bytes that are not the same everywhere. */
const bytes = (length: number): Buffer => Buffer.from(Array.from({ length }, (_each, n) => (n * 7) % 251));

void t.test('a body is what came, in however many pieces, and whatever its length was said to be', (t) => {
  for (const length of [1, 10, 4096, 50_000]) {
    const whole = bytes(length);
    for (const declared of [0, length]) {
      for (const piece of [1, 7, 4096, 20_000, length]) {
        const body = new BodyBuffer(declared);
        for (let at = 0; at < length; at += piece) body.append(whole.subarray(at, at + piece));
        const same = body.take().equals(whole) && body.length === length;
        if (!same) t.fail(`${length} bytes, ${declared} declared, in pieces of ${piece}`);
      }
    }
  }
  t.equal(new BodyBuffer().take().length, 0);
  t.end();
});

void t.test('one that comes in one piece is not copied', (t) => {
  const piece = bytes(100);
  for (const declared of [0, 100]) {
    const body = new BodyBuffer(declared);
    body.append(piece);
    t.equal(body.take(), piece);
  }
  t.end();
});

void t.test('a client claims no memory by the length that it declares', (t) => {
  const declared = 64 * MIB;
  const body = new BodyBuffer(declared);
  const before = process.memoryUsage().arrayBuffers;
  const taken = (): number => process.memoryUsage().arrayBuffers - before;
  const piece = Buffer.alloc(MIB, 'x');
  for (let pieces = 0; pieces < 15; pieces++) body.append(piece);
  t.ok(taken() < 8 * MIB, `${taken()} bytes, when less than a quarter has come`);
  body.append(piece);
  t.ok(taken() > declared - 8 * MIB, 'then it is put together as it comes');
  for (let pieces = 16; pieces < 64; pieces++) body.append(piece);
  const { buffer, length } = body.take();
  t.equal(buffer.byteLength, declared, 'in place');
  t.equal(length, declared);
  t.end();
});
