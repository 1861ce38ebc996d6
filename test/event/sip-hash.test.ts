import fc from 'fast-check';
import t from 'tap';
import { SipHash } from '../../lib/event/sip-hash.js';
import { SEED } from '../helpers/seed.js';

const KEY = Uint8Array.from({ length: 16 }, (_, index) => index);
const MASK = 2n ** 64n - 1n;

const rotated = (word: bigint, bits: bigint): bigint => ((word << bits) | (word >> (64n - bits))) & MASK;

/** The same on integers of any size, step by step as the paper has it. */
function reference(key: Uint8Array, bytes: Uint8Array): string {
  const wordAt = (source: Uint8Array, at: number): bigint => Buffer.from(source).readBigUInt64LE(at);
  const [k0, k1] = [wordAt(key, 0), wordAt(key, 8)];
  let [v0, v1, v2, v3] = [
    0x736f6d6570736575n ^ k0,
    0x646f72616e646f6dn ^ k1 ^ 0xeen,
    0x6c7967656e657261n ^ k0,
    0x7465646279746573n ^ k1,
  ];
  const rounds = (times: number): void => {
    for (let round = 0; round < times; round++) {
      v0 = (v0 + v1) & MASK;
      v1 = rotated(v1, 13n) ^ v0;
      v0 = rotated(v0, 32n);
      v2 = (v2 + v3) & MASK;
      v3 = rotated(v3, 16n) ^ v2;
      v0 = (v0 + v3) & MASK;
      v3 = rotated(v3, 21n) ^ v0;
      v2 = (v2 + v1) & MASK;
      v1 = rotated(v1, 17n) ^ v2;
      v2 = rotated(v2, 32n);
    }
  };
  const padded = Buffer.alloc(8 * (Math.floor(bytes.length / 8) + 1));
  padded.set(bytes);
  padded[padded.length - 1] = bytes.length;
  for (let at = 0; at < padded.length; at += 8) {
    v3 ^= wordAt(padded, at);
    rounds(2);
    v0 ^= wordAt(padded, at);
  }
  const result = Buffer.alloc(16);
  v2 ^= 0xeen;
  rounds(4);
  result.writeBigUInt64LE(v0 ^ v1 ^ v2 ^ v3, 0);
  v1 ^= 0xddn;
  rounds(4);
  result.writeBigUInt64LE(v0 ^ v1 ^ v2 ^ v3, 8);
  return result.toString('hex', 0, 12);
}

function hashed(key: Uint8Array, bytes: Uint8Array, start = 0, end = bytes.length): string {
  const hash = new SipHash(key);
  hash.hash(bytes, start, end);
  const result = Buffer.alloc(12);
  for (const [index, word] of [hash.a, hash.b, hash.c].entries()) result.writeUInt32LE(word, index * 4);
  return result.toString('hex');
}

void t.test('it gives the results that its authors publish (vectors_sip128)', (t) => {
  const bytes = Uint8Array.from({ length: 64 }, (_, index) => index);
  t.equal(hashed(KEY, bytes, 0, 0), 'a3817f04ba25a8e66df67214');
  t.equal(hashed(KEY, bytes, 0, 1), 'da87c1d86b99af4434765911');
  t.equal(hashed(KEY, bytes, 0, 15), '5493e99933b0a8117e08ec0f');
  t.end();
});

void t.test('it gives what the definition gives, whatever key, bytes and place', (t) => {
  const key = fc.uint8Array({ minLength: 16, maxLength: 16 });
  fc.assert(
    fc.property(key, fc.uint8Array({ maxLength: 300 }), fc.nat(20), (secret, bytes, before) => {
      const placed = Buffer.concat([Buffer.alloc(before, 1), bytes, Buffer.of(7)]);
      return hashed(secret, placed, before, before + bytes.length) === reference(secret, bytes);
    }),
    { seed: SEED },
  );
  t.end();
});

void t.test(
  'a text may be longer than the memory that the hash starts with, and a short one may follow',
  (t) => {
    const bytes = Uint8Array.from({ length: 300_001 }, (_, index) => index * 7);
    for (const length of [65_495, 65_496, 65_497, 300_001, 5])
      t.equal(hashed(KEY, bytes, 0, length), reference(KEY, bytes.subarray(0, length)), `${length}`);
    t.end();
  },
);
