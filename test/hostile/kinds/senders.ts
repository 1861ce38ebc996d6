import { createHmac } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import type { Attack, Exchange, Kind } from '../attack.js';
import { head } from '../requests.js';
import type { Headers } from '../requests.js';

const MIB = 2 ** 20;
/** Bodies that are being read have a bound together. */
const FULL = [429, 503];
const GZIP = { 'Content-Encoding': 'gzip' };

/** The secret of the source `github`, which strangers do not know. */
export const SECRET = 'of the hostile run';

/** The flags that the kinds of this file need. @param secretFile holds `SECRET` */
export function sourceFlags(secretFile: string): readonly string[] {
  const webhook = 'webhook=/in/webhook,id=/a/b/0/id,id=header:x-id,type=/type,headers=x-a,query=on';
  return ['--source', `github=/in/github,secret-file=${secretFile}`, '--source', webhook];
}

function sent(
  { host }: Attack,
  path: string,
  label: string,
  body: string | Buffer,
  headers: Headers,
  may: readonly number[],
): Exchange {
  const bytes = Buffer.from(body);
  const all = { Host: host, 'Content-Type': 'application/json', 'Content-Length': bytes.length, ...headers };
  const pieces = [Buffer.concat([Buffer.from(head(`POST ${path} HTTP/1.1`, all), 'latin1'), bytes])];
  return { label, pieces, may: [bytes.length > MIB / 2 ? [...may, ...FULL] : may], withinMs: 6000 };
}

export const FORGED_SIGNATURES: Kind = {
  name: 'forged-signatures',
  about: 'webhooks that nobody signed: short, of 1 MiB, of 15 MiB as gzip, with hundreds of signatures',
  limitMs: 15_000,
  async attack(attack) {
    const forged = (label: string, body: string | Buffer, headers: Headers, may = [401]): Exchange =>
      sent(attack, '/in/github', label, body, { 'X-GitHub-Delivery': attack.newId(), ...headers }, may);
    const signature = (text: string): Headers => ({ 'X-Hub-Signature-256': text });
    const zeros = signature(`sha256=${'0'.repeat(64)}`);
    const large = JSON.stringify('x'.repeat(MIB - 100));
    const bomb = gzipSync(Buffer.alloc(15 * MIB, ' '));
    const signed = createHmac('sha256', SECRET).update('{}').digest('hex');
    const exchanges: Exchange[] = [];
    for (let count = 0; count < 200; count++) {
      exchanges.push(
        forged('zeros', '{}', zeros),
        forged('no signature', '{}', {}),
        forged('the signature of another body', '{ }', signature(`sha256=${signed}`)),
        forged('another algorithm', '{}', signature(`sha1=${signed}`)),
        forged('capital letters', '{}', signature(`sha256=${signed.toUpperCase()}`)),
        forged('200 signatures', '{}', signature(`sha256=${'0'.repeat(64)}`.concat(',').repeat(200))),
      );
      if (count % 10 > 0) continue;
      exchanges.push(
        forged('1 MiB', large, zeros),
        forged('a bomb', bomb, { ...zeros, ...GZIP }),
        forged('15 MiB', Buffer.alloc(15 * MIB, '['), zeros, [401, 413]),
      );
    }
    await attack.all(exchanges, 40);
  },
};

export const WEBHOOK_BODIES: Kind = {
  name: 'webhook-bodies',
  about:
    'any body at a webhook: deep, wide, full of escapes, half a string, with a pointer that looks for an id',
  limitMs: 15_000,
  async attack(attack) {
    // written as a string it may be too large, and some inflate to more than 200 times their size
    const taken = (label: string, body: string | Buffer, headers: Headers = {}, may = [202, 413]): Exchange =>
      sent(attack, '/in/webhook?a=b', label, body, { 'X-Id': attack.newId(), ...headers }, may);
    const most = MIB / 4;
    const wide = `{${'"a":{"b":[{"id":1}]},'.repeat(most / 24)}"a":{"b":[{"id":{}}]}}`;
    const names = `{${Array.from({ length: most / 16 }, (_, index) => `"n${index}":1`).join(',')}}`;
    const bodies: Readonly<Record<string, string | Buffer>> = {
      'open arrays': '['.repeat(most),
      'deep arrays': `${'['.repeat(most / 2)}${']'.repeat(most / 2)}`,
      'deep objects': `${'{"a":'.repeat(80_000)}1${'}'.repeat(80_000)}`,
      'one name again and again': wide,
      'many names': names,
      'escapes in names': `{${'"\\u0061":{"b":1},'.repeat(most / 20)}"type":1}`,
      'half a string of escapes': `"${'\\"'.repeat(most / 2)}`,
      backslashes: '\\'.repeat(most),
      quotes: '"'.repeat(most),
      'a long number': '1'.repeat(most),
      'an array of arrays': `[${'[],'.repeat(most / 4)}[]]`,
      'not UTF-8': Buffer.alloc(most, 0xff),
    };
    const exchanges = Object.entries(bodies).flatMap(([label, body]) => [
      taken(label, body),
      taken(`${label}, gzip`, gzipSync(body), GZIP),
      taken(`${label}, as text`, body, { 'Content-Type': 'text/plain' }),
    ]);
    // each is six times as long in a JSON string
    const controls = '\u0001'.repeat(most);
    exchanges.push(
      taken('control characters', controls, {}, [413]),
      taken('control characters, gzip', gzipSync(controls), GZIP, [413]),
      taken('an id of 200 KB', `{"a":{"b":[{"id":"${'x'.repeat(200_000)}"}]}}`),
    );
    await attack.all([...exchanges, ...exchanges, ...exchanges], 6);
  },
};

export const CLOUDEVENT_HEADS: Kind = {
  name: 'cloudevent-heads',
  about:
    'CloudEvents with thousands of attributes, percent signs and names that are wrong, and batches of none',
  limitMs: 15_000,
  async attack(attack) {
    const { host } = attack;
    const post = (
      label: string,
      lines: readonly string[],
      body: string,
      may: readonly number[],
    ): Exchange => {
      const text = [
        'POST /events HTTP/1.1',
        `Host: ${host}`,
        ...lines,
        `Content-Length: ${Buffer.byteLength(body)}`,
        '',
        body,
      ].join('\r\n');
      return { label, pieces: [Buffer.from(text, 'latin1')], may: [may], withinMs: 6000 };
    };
    const binary = (...more: readonly string[]): string[] => [
      'ce-specversion: 1.0',
      `ce-id: ${attack.newId()}`,
      'ce-source: /hostile',
      'ce-type: t',
      ...more,
    ];
    const exchanges: Exchange[] = [];
    for (let count = 0; count < 100; count++) {
      exchanges.push(
        post(
          '1,500 attributes',
          binary(...Array.from({ length: 1500 }, (_, at) => `ce-a${at}:`)),
          '',
          [202, 400, 431],
        ),
        post('1,500 times one attribute', binary(...Array<string>(1500).fill('ce-a:1')), '', [202, 400, 431]),
        post('percent signs', binary(`ce-a: ${'%'.repeat(14_000)}`), '', [202, 400]),
        post('high bytes', binary(`ce-a: ${'%ff'.repeat(4000)}`), '', [202, 400]),
        post('a NUL', binary('ce-a: %00'), '', [202, 400]),
        post('quotes', binary(`ce-a: "${'\\"'.repeat(6000)}`), '', [202, 400]),
        post('__proto__', binary('ce-__proto__: 1'), '', [400]),
        post('constructor', binary('ce-constructor: 1'), '', [202, 400]),
        post('an empty name', binary('ce-: 1'), '', [202, 400]),
        post('a time', binary(`ce-time: ${'1'.repeat(14_000)}`), '', [400]),
        post('a source', binary(`ce-dataschema: a:${'//'.repeat(7000)}`), '', [202, 400]),
      );
    }
    const batch = ['Content-Type: application/cloudevents-batch+json', 'Prefer: handling=lenient'];
    for (const body of [`[${'{},'.repeat(20_000)}{}]`, `[${'1,'.repeat(100_000)}1]`, '['.repeat(100_000)])
      exchanges.push(post('a batch of none', batch, body, [400, 413]));
    await attack.all(exchanges, 20);
  },
};
