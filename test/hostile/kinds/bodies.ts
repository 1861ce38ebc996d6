import { brotliCompressSync, constants, deflateSync, gzipSync } from 'node:zlib';
import type { Attack, Exchange, Kind } from '../attack.js';
import { event, JSON_TYPE, NDJSON_TYPE, post } from '../requests.js';
import type { Headers } from '../requests.js';

const MIB = 2 ** 20;
const LENIENT = { Prefer: 'handling=lenient' };
const GZIP = { 'Content-Encoding': 'gzip' };
const REFUSED = [400, 413];
/** The bodies that are being read have a bound together. */
const FULL = [429, 503];
const REFUSED_OR_FULL = [...REFUSED, ...FULL];
/** However much is wrong, the answer names a bounded part of it. */
const ANSWER_BYTES_MAX = MIB;

function sent(
  attack: Attack,
  label: string,
  body: string | Buffer,
  headers: Headers,
  may: readonly number[] = REFUSED,
): Exchange {
  const pieces = [post(attack.host, body, headers)];
  const all = body.length > MIB / 2 ? [...may, ...FULL] : may;
  return { label, pieces, may: [all], withinMs: 6000, answerBytesMax: ANSWER_BYTES_MAX };
}

export const LENIENT_LINES: Kind = {
  name: 'lenient-lines',
  about: '500,000 wrong lines in 1 KB of gzip, and plain, with Prefer: handling=lenient',
  async attack(attack) {
    const headers = { ...NDJSON_TYPE, ...LENIENT };
    const lines = '1\n'.repeat(500_000);
    for (const exchange of [
      sent(attack, '500,000 lines, gzip', gzipSync(lines), { ...headers, ...GZIP }),
      sent(attack, '500,000 lines', lines, headers),
      sent(attack, '1,000,000 lines', '{}\n'.repeat(1_000_000), headers),
    ])
      await attack.exchange(exchange);
  },
};

export const ARRAY_OF_NUMBERS: Kind = {
  name: 'array-of-numbers',
  about: 'an array of 16 MiB that holds numbers, or empty objects, strict and lenient',
  limitMs: 15_000,
  async attack(attack) {
    const numbers = `[${'1,'.repeat(8 * MIB - 2)}1]`;
    const objects = `[${'{},'.repeat(5 * MIB)}{}]`;
    for (const exchange of [
      sent(attack, 'numbers', numbers, JSON_TYPE),
      sent(attack, 'numbers, lenient', numbers, { ...JSON_TYPE, ...LENIENT }),
      sent(attack, 'objects, lenient', objects, { ...JSON_TYPE, ...LENIENT }),
    ])
      await attack.exchange(exchange);
  },
};

export const DEEP_NESTING: Kind = {
  name: 'deep-nesting',
  about: '1 MiB of [ in 1 KB of gzip, and 500,000 arrays in data, ten of each at once',
  async attack(attack) {
    const arrays = `${'['.repeat(500_000)}${']'.repeat(500_000)}`;
    const objects = `${'{"a":'.repeat(170_000)}1${'}'.repeat(170_000)}`;
    const inData = (data: string): string => `{"id":"${attack.newId()}","type":"t","data":${data}}`;
    const open = gzipSync('['.repeat(MIB));
    const exchanges: Exchange[] = [];
    for (let count = 0; count < 10; count++) {
      exchanges.push(
        sent(attack, '1 MiB of [, gzip', open, { ...JSON_TYPE, ...GZIP }),
        sent(attack, '1 MiB of [', '['.repeat(MIB), JSON_TYPE),
        sent(attack, '1 MiB of [ as a line', '['.repeat(MIB - 1), NDJSON_TYPE),
        sent(attack, '500,000 arrays in data', inData(arrays), JSON_TYPE),
        sent(attack, '170,000 objects in data', inData(objects), JSON_TYPE),
        sent(attack, '64 arrays in data', inData(`${'['.repeat(64)}${']'.repeat(64)}`), JSON_TYPE, [202]),
      );
    }
    await attack.all(exchanges, 10);
  },
};

export const BLANK_LINES: Kind = {
  name: 'blank-lines',
  about: '15 MiB of blank lines, plain and as gzip',
  async attack(attack) {
    const feeds = Buffer.alloc(15 * MIB, '\n');
    const spaces = Buffer.alloc(15 * MIB, ' \t\r\n');
    await attack.all(
      [
        sent(attack, 'line feeds', feeds, NDJSON_TYPE),
        sent(attack, 'white space', spaces, NDJSON_TYPE),
        sent(attack, 'white space as JSON', spaces, JSON_TYPE),
        sent(attack, 'line feeds, gzip', gzipSync(feeds), { ...NDJSON_TYPE, ...GZIP }),
      ],
      2,
    );
  },
};

export const BOMBS: Kind = {
  name: 'bombs',
  about: 'gzip, deflate and brotli that inflate to a thousand times their size, twenty at once',
  async attack(attack) {
    const zeros = Buffer.alloc(64 * MIB, '0');
    const member = gzipSync(zeros.subarray(0, MIB));
    const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: 5, [constants.BROTLI_PARAM_LGWIN]: 24 } };
    const bombs: [string, Buffer][] = [
      ['gzip', gzipSync(zeros, { level: 6 })],
      ['gzip', Buffer.concat(Array.from({ length: 200 }, () => member))],
      ['deflate', deflateSync(zeros, { level: 6 })],
      ['br', brotliCompressSync(zeros, quality)],
    ];
    const exchanges = bombs.flatMap(([coding, body]) =>
      [JSON_TYPE, NDJSON_TYPE].map((type) =>
        sent(attack, `a bomb of ${coding}`, body, { ...type, 'Content-Encoding': coding }, REFUSED_OR_FULL),
      ),
    );
    const twice = { ...JSON_TYPE, 'Content-Encoding': 'gzip, gzip' };
    exchanges.push(sent(attack, 'gzip twice', gzipSync(member), twice, [400, 413, 415]));
    await attack.all([...exchanges, ...exchanges, ...exchanges, ...exchanges, ...exchanges]);
  },
};

export const BROKEN_STRINGS: Kind = {
  name: 'broken-strings',
  about: 'long events with a broken escape, no end, broken UTF-8, endless numbers or keys',
  async attack(attack) {
    const start = '{"id":"broken","type":"t","data":';
    const [long, size] = [
      (text: string): string => text.repeat(Math.floor((0.9 * MIB) / text.length)),
      0.9 * MIB,
    ];
    const texts: [string, string | Buffer, number[]][] = [
      ['a broken escape at the end', `${start}"${long('x')}\\x"}`, REFUSED],
      ['a broken escape in each place', `${start}"${long('\\x')}"}`, REFUSED],
      ['half an escape', `${start}"${long('\\\\')}\\u12"}`, REFUSED],
      ['backslashes without end', `${start}"${long('\\\\')}`, REFUSED],
      ['quotes', `${start}${long('"')}}`, REFUSED],
      ['a string without end', `${start}"${long('x')}`, REFUSED],
      ['a line feed in a string', `${start}"${long('x')}\n"}`, REFUSED],
      ['white space and no end', `${start}${long(' \t')}`, REFUSED],
      ['commas', `${start}[${long(',')}]}`, REFUSED],
      ['a number that is none', `${start}${long('1')}.}`, REFUSED],
      ['a number of many digits', `${start}${long('1')}}`, [202, ...REFUSED]],
      ['exponents', `${start}1${long('e1')}}`, REFUSED],
      ['the same key again and again', `${start}{${long('"a":1,')}"a":1}}`, [202, ...REFUSED]],
      ['keys without end', `${start}{${long('"a":1,')}`, REFUSED],
      [
        'broken UTF-8',
        Buffer.concat([Buffer.from(`${start}"`), Buffer.alloc(size, 0xff), Buffer.from('"}')]),
        REFUSED,
      ],
      ['NUL', Buffer.concat([Buffer.from(`${start}"`), Buffer.alloc(size), Buffer.from('"}')]), REFUSED],
      ['a line of 15 MiB', `${start}"${'x'.repeat(15 * MIB)}`, REFUSED],
    ];
    await attack.all(
      texts.flatMap(([label, text, may]) => [
        sent(attack, label, text, JSON_TYPE, may),
        sent(
          attack,
          `${label}, in an array`,
          Buffer.concat([Buffer.from('['), Buffer.from(text), Buffer.from(']')]),
          JSON_TYPE,
          may,
        ),
        sent(attack, `${label}, as a line`, text, NDJSON_TYPE, may),
      ]),
      4,
    );
  },
};

export const TRAILING_BYTES: Kind = {
  name: 'trailing-bytes',
  about: 'what stands behind a compressed body, in each coding',
  async attack(attack) {
    const exchanges: Exchange[] = [];
    const ids = [attack.newId(), attack.newId()] as const;
    const [first, second] = ids.map((id) => Buffer.from(`${event(id)}\n`)) as [Buffer, Buffer];
    const codings: [string, (bytes: Buffer) => Buffer, number[]][] = [
      ['deflate', (bytes) => deflateSync(bytes), [400]],
      ['br', (bytes) => brotliCompressSync(bytes), [400]],
      ['zstd', zstdFrame, [202, 400, 415]], // a second frame is a good one
      ['gzip', (bytes) => gzipSync(bytes), [202]], // so is a second member
    ];
    for (const [coding, encode, withSecond] of codings) {
      const headers = { ...NDJSON_TYPE, 'Content-Encoding': coding };
      const bodies: [string, Buffer, number[]][] = [
        ['garbage', Buffer.from('garbage'), [400, 415]],
        ['a plain event', second, [400, 415]],
        ['another stream', encode(second), withSecond],
      ];
      for (const [label, rest, may] of bodies)
        exchanges.push(
          sent(attack, `${label} behind ${coding}`, Buffer.concat([encode(first), rest]), headers, may),
        );
      exchanges.push(sent(attack, `half of ${coding}`, encode(first).subarray(0, -4), headers, [400, 415]));
    }
    await attack.all(exchanges);
  },
};

/** One frame with one raw block (RFC 8878), as not every Node.js can make one. For at most 255 bytes. */
function zstdFrame(bytes: Buffer): Buffer {
  const block = (bytes.length << 3) | 1;
  const head = [0x28, 0xb5, 0x2f, 0xfd, 0x20, bytes.length, block & 0xff, (block >> 8) & 0xff, block >> 16];
  return Buffer.concat([Buffer.from(head), bytes]);
}
