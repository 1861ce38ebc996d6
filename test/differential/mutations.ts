import { Random } from '../simulation/random.js';
import { SAMPLES } from './samples.js';
import type { Sample, Wire } from './samples.js';

/** Two tokens that differ everywhere: where bytes are the same with both, no token is. */
const [ONE, OTHER] = ['GGGGGGGG', 'VVVVVVVV'];
const CUT_BYTES_MAX = 64;

/** What stands for something in a request. */
const TOKENS = [
  '\r\n',
  '\n',
  '\r',
  '\r\n\r\n',
  '\n\n',
  ':',
  ' ',
  '\t',
  ';',
  ',',
  '\0',
  '\u{7f}',
  '\u{ff}',
  '\u{ef}\u{bb}\u{bf}',
  '0',
  '-',
  '+',
  '1',
  '"',
  '\\',
  '\\u',
  '[',
  '{',
  '}',
  ']',
  '#',
  '?',
  '/',
  'POST /events HTTP/1.1\r\n',
  'GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'chunked',
  '0\r\n\r\n',
  'Content-Length: 5\r\n',
  'Content-Length: 0\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Host: b\r\n',
  'Connection: close\r\n',
  'Connection: keep-alive\r\n',
  'Expect: 100-continue\r\n',
  'X-A: 1\r\n',
  'x:\t\r\n',
  'Content-Type: application/x-ndjson\r\n',
  'Prefer: handling=lenient\r\n',
  'Content-Encoding: gzip\r\n',
];

/** The same change of all sendings of a request. */
function mutated(wire: Wire, random: Random): Wire {
  const [one, other] = [wire(ONE), wire(OTHER)];
  const place = random.whole(0, one.length);
  const end = Math.min(one.length, place + Math.ceil(random.spread(1, CUT_BYTES_MAX)));
  switch (random.pick(['flip', 'cut', 'insert', 'insert', 'duplicate', 'splice', 'end'] as const)) {
    case 'flip': {
      // a token with another bit would be another letter in each way, or none
      if (place === one.length || one[place] !== other[place]) return wire;
      const bit = 1 << random.whole(0, 7);
      return (token) => {
        const bytes = wire(token);
        bytes[place] = (bytes[place] ?? 0) ^ bit;
        return bytes;
      };
    }
    case 'cut':
      return (token) => joinedAt(wire(token), place, Buffer.alloc(0), end);
    case 'insert': {
      const inserted = Buffer.from(random.pick(TOKENS), 'latin1');
      return (token) => joinedAt(wire(token), place, inserted, place);
    }
    case 'duplicate':
      return (token) => joinedAt(wire(token), end, wire(token).subarray(place, end), end);
    case 'splice': {
      const { wire: second } = random.pick(SAMPLES);
      const from = random.whole(0, second(ONE).length);
      return (token) => Buffer.concat([wire(token).subarray(0, place), second(token).subarray(from)]);
    }
    case 'end': {
      const { wire: second } = random.pick(SAMPLES);
      return (token) => Buffer.concat([wire(token), second(token)]);
    }
  }
}

/** @param to where the bytes go on behind what was put in */
function joinedAt(bytes: Buffer, from: number, between: Buffer, to: number): Buffer {
  return Buffer.concat([bytes.subarray(0, from), between, bytes.subarray(to)]);
}

/** A request that was changed at random. Seed and number decide alone: it can be had without those before it. */
export function mutation(seed: number, index: number): Sample {
  const random = new Random(Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b));
  let { wire } = random.pick(SAMPLES);
  for (let left = random.whole(1, 3); left > 0; left--) wire = mutated(wire, random);
  return { name: `mutation ${index}`, wire };
}
