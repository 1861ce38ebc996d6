import { brotliCompressSync, constants } from 'node:zlib';
import t from 'tap';
import { windowBytes } from '../../lib/door/content-decoder.js';
import { IncomingBodies } from '../../lib/door/incoming-bodies.js';
import type { IncomingBody } from '../../lib/door/incoming-bodies.js';

const MIB = 2 ** 20;

/** A body of letters that do not compress to nothing. */
function letters(length: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, index) => 97 + ((index * index * 31) % 26)));
}

function compressed(length: number, windowBits: number, quality: number): Buffer {
  const params = { [constants.BROTLI_PARAM_LGWIN]: windowBits, [constants.BROTLI_PARAM_QUALITY]: quality };
  return brotliCompressSync(letters(length), { params });
}

void t.test('the first bytes of a Brotli stream say how large its window is', (t) => {
  for (let bits = 10; bits <= 19; bits++)
    t.equal(windowBytes('br', compressed(400_000, bits, 4)), 2 ** bits, `${bits} bits`);
  for (let bits = 18; bits <= 24; bits++)
    t.equal(
      windowBytes('br', compressed(1000, bits, 1)),
      2 ** bits,
      `${bits} bits, and a last block that is empty`,
    );
  for (const coding of ['gzip', 'deflate']) t.equal(windowBytes(coding, Buffer.of(0xff)), 0, coding);
  t.end();
});

void t.test('a Brotli stream of one block takes no more than that', (t) => {
  for (const length of [100, 5000, 70_000, 400_000]) {
    const stream = brotliCompressSync(letters(length));
    t.equal(windowBytes('br', stream), 2 ** Math.ceil(Math.log2(length)), `${length} bytes`);
    t.equal(windowBytes('br', stream.subarray(0, 5)), 2 ** 22, 'if that much of it is there');
  }
  t.end();
});

void t.test('windows are bounded: who has one and is slow yields, or the newcomer', (t) => {
  const bodies = new IncomingBodies(MIB, 0);
  const refused: string[] = [];
  const open = (name: string, ageMs: number): IncomingBody => {
    const startMs = performance.now() - ageMs;
    const refuse = (): void => void refused.push(name);
    const links = { before: null, after: null };
    const body: IncomingBody = {
      ...links,
      clientId: '192.0.2.7',
      startMs,
      sentBytes: 1,
      heldBytes: 0,
      windowBytes: 0,
      refuse,
    };
    bodies.add(body);
    return body;
  };
  open('slow, without a window', 60_000);
  bodies.holdWindow(open('first', 0), 8 * MIB);
  const second = open('second', 0);
  bodies.holdWindow(second, 8 * MIB);
  t.same(refused, [], 'there is room for one of the largest, or more small ones');
  bodies.holdWindow(open('newcomer', 0), 2 ** 16);
  t.same(refused.splice(0), ['newcomer'], 'the others have just begun');
  bodies.remove(second);
  bodies.holdWindow(open('old', 5000), 8 * MIB);
  bodies.holdWindow(open('fourth', 0), 8 * MIB);
  t.same(refused, ['old'], 'the slowest');
  t.end();
});
