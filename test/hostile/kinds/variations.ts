import { brotliCompressSync, gzipSync } from 'node:zlib';
import type { Random } from '../../simulation/random.js';
import type { Attack, Exchange, Kind } from '../attack.js';
import { ask, chunk, CHUNKED, cut, event, head, JSON_TYPE, NDJSON_TYPE, post } from '../requests.js';

const VARIATIONS = 400;
const WITHIN_MS = 1500;
/** Those that may wait for the rest of a request that will not come are left earlier. */
const UNFINISHED_MS = 250;

/** Requests to start from: good ones, and hostile ones. */
function corpus(attack: Attack): Buffer[] {
  const { host } = attack;
  const text = event('variation', { text: 'é😀', list: [1, -2.5e3, null, true] });
  const lines = `${text}\n${text}\n\n${text}`;
  const chunks = [chunk(text.slice(0, 10)), chunk(text.slice(10)), Buffer.from('0\r\nX-Trailer: 1\r\n\r\n')];
  return [
    post(host, text),
    post(host, lines, NDJSON_TYPE),
    post(host, `[${text},${text}]`),
    post(host, `${lines}\n1`, { ...NDJSON_TYPE, Prefer: 'handling=lenient' }),
    post(host, gzipSync(lines), { ...NDJSON_TYPE, 'Content-Encoding': 'gzip' }),
    post(host, brotliCompressSync(text), { ...JSON_TYPE, 'Content-Encoding': 'br' }),
    post(host, text, { ...JSON_TYPE, Expect: '100-continue' }),
    post(host, text, { ...JSON_TYPE, Connection: 'close' }),
    Buffer.concat([ask(host, 'POST', '/events', { ...CHUNKED, ...JSON_TYPE }), ...chunks]),
    ask(host, 'POST', '/events', { ...CHUNKED, ...JSON_TYPE }, '0_2e\r\n'),
    ask(host, 'GET', '/metrics', CHUNKED, '\r\n'),
    ...['/', '/metrics', '/health', '/ready', '/page/page.js', '/nothing'].flatMap((path) => [
      ask(host, 'GET', path),
      ask(host, 'HEAD', path),
    ]),
    ask(host, 'GET', '/health', { Connection: 'Upgrade', Upgrade: 'websocket' }),
    Buffer.from(head(`CONNECT ${host} HTTP/1.1`, { Host: host })),
    Buffer.from(head('OPTIONS * HTTP/1.1', { Host: host })),
    Buffer.from(`GET /health HTTP/1.0\r\n\r\n`),
    Buffer.from('\r\n\r\n\0\u{ff}'),
  ];
}

/** What stands for something in a request. */
const TOKENS = [
  '\r\n',
  '\n',
  '\r',
  '\r\n\r\n',
  ':',
  ' ',
  '\t',
  '\0',
  '0',
  '-1',
  '"',
  '\\u',
  '[',
  '{',
  ',',
  '\u{ff}',
];
const WORDS = [
  'chunked',
  'Content-Length: 5\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Host: b\r\n',
  'Expect: 100-continue\r\n',
];

function mutated(bytes: Buffer, corpus: readonly Buffer[], random: Random): Buffer {
  const place = random.whole(0, bytes.length);
  const end = Math.min(bytes.length, place + Math.ceil(random.spread(1, 64)));
  const [before, middle, after] = [bytes.subarray(0, place), bytes.subarray(place, end), bytes.subarray(end)];
  switch (random.pick(['flip', 'cut', 'insert', 'duplicate', 'splice'] as const)) {
    case 'flip': {
      const flipped = Buffer.from(bytes);
      if (place < bytes.length) flipped[place] = (flipped[place] ?? 0) ^ (1 << random.whole(0, 7));
      return flipped;
    }
    case 'cut':
      return Buffer.concat([before, after]);
    case 'insert':
      return Buffer.concat([
        before,
        Buffer.from(random.pick([...TOKENS, ...WORDS]), 'latin1'),
        middle,
        after,
      ]);
    case 'duplicate':
      return Buffer.concat([before, middle, middle, after]);
    case 'splice': {
      const other = random.pick(corpus);
      return Buffer.concat([before, other.subarray(random.whole(0, other.length))]);
    }
  }
}

export const VARIATIONS_KIND: Kind = {
  name: 'variations',
  about: `${VARIATIONS} requests of all kinds, changed, cut, joined and split at random, 20 at once`,
  limitMs: 30_000,
  async attack(attack) {
    const { random } = attack;
    const all = corpus(attack);
    const exchanges = Array.from({ length: VARIATIONS }, (_, index): Exchange => {
      const requests = Array.from({ length: random.whole(1, 3) }, () => {
        let bytes = random.pick(all);
        for (let count = random.whole(0, 3); count > 0; count--) bytes = mutated(bytes, all, random);
        return bytes;
      });
      const bytes = Buffer.concat(requests);
      const places = Array.from({ length: random.whole(0, 3) }, () => random.whole(0, bytes.length));
      const pieces = cut(bytes, ...places.toSorted((a, b) => a - b));
      const label = `variation ${index + 1}`;
      if (random.chance(0.5)) return { label, pieces, may: null, withinMs: WITHIN_MS, after: 'end' };
      return { label, pieces, may: null, withinMs: UNFINISHED_MS };
    });
    await attack.all(exchanges);
  },
};
