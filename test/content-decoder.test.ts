import { brotliCompressSync, constants } from 'node:zlib';
import t from 'tap';
import { windowBytes } from '../lib/http/content-decoder.js';
import { IncomingBodies } from '../lib/http/incoming-bodies.js';
import type { IncomingBody } from '../lib/http/incoming-bodies.js';

const MIB = 2 ** 20;

void t.test('the first byte of a Brotli stream says how large its window is', (t) => {
  for (let bits = 10; bits <= 24; bits++) {
    const stream = brotliCompressSync(Buffer.alloc(100), {
      params: { [constants.BROTLI_PARAM_LGWIN]: bits },
    });
    t.equal(windowBytes('br', stream[0] ?? 0), 2 ** bits, `${bits} bits`);
  }
  for (const coding of ['gzip', 'deflate']) t.equal(windowBytes(coding, 0xff), 0, coding);
  t.end();
});

void t.test('windows are bounded: who has one and is slow yields, or the newcomer', (t) => {
  const bodies = new IncomingBodies(MIB, 0);
  const refused: string[] = [];
  const open = (name: string, ageMs: number): IncomingBody => {
    const startMs = performance.now() - ageMs;
    const refuse = (): void => void refused.push(name);
    const body = { startMs, sentBytes: 1, heldBytes: 0, windowBytes: 0, refuse };
    bodies.add(body);
    return body;
  };
  open('slow, without a window', 60_000);
  bodies.holdWindow(open('first', 0), 16 * MIB);
  const second = open('second', 0);
  bodies.holdWindow(second, 16 * MIB);
  t.same(refused, [], 'there is room for two of the largest');
  bodies.holdWindow(open('newcomer', 0), 2 ** 16);
  t.same(refused.splice(0), ['newcomer'], 'the others have just begun');
  bodies.remove(second);
  bodies.holdWindow(open('old', 5000), 16 * MIB);
  bodies.holdWindow(open('fourth', 0), 16 * MIB);
  t.same(refused, ['old'], 'the slowest');
  t.end();
});
