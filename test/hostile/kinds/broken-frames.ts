import type { Attack, Exchange, Kind } from '../attack.js';
import { ask, chunk, CHUNKED, cut, event, JSON_TYPE, post } from '../requests.js';

const PATHS = ['/', '/metrics', '/health', '/ready', '/page/live', '/events', '/nothing'];
const METHODS = ['GET', 'HEAD', 'POST'];
/** Bodies that no parser of chunks can read to the end. */
const BROKEN = [
  '\r\n',
  '\n',
  '0_2e\r\n',
  '-1\r\n',
  'g\r\n',
  ' 2\r\n{}\r\n0\r\n\r\n',
  'ffffffffffffffff1\r\n{}\r\n',
  '5\r\nabcdefgh\r\n0\r\n\r\n',
  '2\r\n{}\r\n0_2e\r\n\r\n',
  '0\r\nno trailer\r\n\r\n',
];
/** The route's own answer, or that the request is broken. */
const ANY = [200, 400, 404, 405, 413, 415, 501, 503];

function* brokenRequests(
  attack: Attack,
): Generator<{ label: string; bytes: Buffer; headBytes: number; path: string }> {
  for (const path of PATHS) {
    for (const method of METHODS) {
      for (const body of BROKEN) {
        const head = ask(attack.host, method, path, { ...CHUNKED, ...JSON_TYPE });
        const bytes = Buffer.concat([head, Buffer.from(body)]);
        yield { label: `${method} ${path} ${JSON.stringify(body)}`, bytes, headBytes: head.length, path };
      }
    }
  }
}

export const BROKEN_CHUNKS: Kind = {
  name: 'broken-chunks',
  about: 'a chunk size that is none, to each route, in one piece and in two',
  limitMs: 20_000,
  async attack(attack) {
    const exchanges: Exchange[] = [];
    for (const { label, bytes, headBytes, path } of brokenRequests(attack)) {
      // only the body is read there, and never as a whole one
      const may = [path === '/events' && label.startsWith('POST') ? [400, 413] : ANY];
      exchanges.push({ label, pieces: [bytes], may });
      exchanges.push({ label: `${label}, in two`, pieces: cut(bytes, headBytes), may });
    }
    await attack.all(attack.random.shuffled(exchanges), 60);
  },
};

export const CUT_OFF: Kind = {
  name: 'cut-off',
  about: 'the same, and whole requests, with the connection closed in the middle or reset',
  async attack(attack) {
    const whole = PATHS.map((path) => ask(attack.host, 'GET', path));
    const upload = post(attack.host, event(attack.newId(), 'x'.repeat(20_000)));
    const all = [
      ...[...brokenRequests(attack)].map(({ bytes }) => bytes),
      ...whole,
      ...whole,
      upload,
      upload,
    ];
    const exchanges = attack.random.shuffled([...all, ...all]).slice(0, 300);
    await attack.all(
      exchanges.map((bytes, index): Exchange => {
        const place = attack.random.whole(1, bytes.length);
        const pieces = [bytes.subarray(0, place)];
        return {
          label: 'cut off',
          pieces,
          may: null,
          after: index % 2 === 0 ? 'end' : 'reset',
        };
      }),
      40,
    );
  },
};

export const EXPECT_CONTINUE: Kind = {
  name: 'expect-continue',
  about: 'pipelined Expect: 100-continue after answers that take a while',
  async attack(attack) {
    const { host } = attack;
    const slow: [Buffer, number[]][] = [
      [ask(host, 'GET', '/metrics'), [200, 503]],
      [post(host, event(attack.newId())), [202]],
    ];
    const expecting = { Expect: '100-continue', ...JSON_TYPE };
    const text = event('continued');
    const refused: [Buffer, number[]][] = [
      [post(host, '', { ...expecting, 'Content-Type': 'text/plain', 'Content-Length': 20 }), [415]],
      [post(host, '', { ...expecting, 'Content-Length': 17 * 2 ** 20 }), [413]],
      [ask(host, 'POST', '/nothing', { ...expecting, 'Content-Length': 20 }), [404]],
      [ask(host, 'DELETE', '/events', { ...expecting, 'Content-Length': 20 }), [405]],
    ];
    const taken: [Buffer, number[]][] = [
      [post(host, text, expecting), [202]],
      [
        ask(host, 'POST', '/events', { ...expecting, ...CHUNKED }, `${chunk(text).toString()}0\r\n\r\n`),
        [202],
      ],
    ];
    const exchanges: Exchange[] = [];
    for (const [first, firstMay] of slow) {
      for (const [second, secondMay] of [...refused, ...taken]) {
        const label = second.toString('latin1', 0, 40);
        const bytes = Buffer.concat([first, second, ask(host, 'GET', '/health')]);
        const may = [firstMay, secondMay, [200]];
        exchanges.push({ label, pieces: [bytes], may, least: 2 });
        exchanges.push({
          label,
          pieces: [Buffer.concat([first, first, second])],
          may: [firstMay, firstMay, secondMay],
        });
      }
    }
    await attack.all([...exchanges, ...exchanges, ...exchanges]);
  },
};

/** What comes after an answer that closes is not taken; or it is, and answered. */
async function nothingBehind(
  attack: Attack,
  label: string,
  closer: Buffer,
  may: readonly number[],
): Promise<void> {
  const id = attack.newId();
  const bytes = Buffer.concat([closer, post(attack.host, event(id))]);
  const answers = await attack.exchange({ label, pieces: [bytes], may: [may, [202]], least: 1 });
  if (answers[1] !== 202) attack.never.add(id);
}

export const BEHIND_CLOSE: Kind = {
  name: 'behind-close',
  about: 'a request behind one whose answer closes the connection; a broken body behind an early answer',
  limitMs: 15_000,
  async attack(attack) {
    const { host } = attack;
    const closers: [string, Buffer, number[]][] = [
      ['Expect: nonsense', post(host, event('a'), { ...JSON_TYPE, Expect: 'nonsense' }), [417]],
      ['a chunked 404', ask(host, 'POST', '/nothing', CHUNKED, '0\r\n\r\n'), [404]],
      ['a long 404', ask(host, 'POST', '/nothing', { 'Content-Length': 100_000 }), [404]],
      ['a chunked 405', ask(host, 'DELETE', '/events', CHUNKED, '0\r\n\r\n'), [405]],
      [
        'a chunked 415',
        ask(host, 'POST', '/events', { ...CHUNKED, 'Content-Type': 'a/b' }, '0\r\n\r\n'),
        [415],
      ],
      ['a long 413', post(host, '', { ...JSON_TYPE, 'Content-Length': 17 * 2 ** 20 }), [413]],
      ['no Host', ask(host, 'GET', '/health', { Host: null }), [400]],
      ['Connection: close', ask(host, 'GET', '/health', { Connection: 'close' }), [200]],
      ['HTTP/1.0', Buffer.from(`GET /health HTTP/1.0\r\nHost: ${host}\r\n\r\n`), [200]],
    ];
    const early: [string, Buffer][] = [
      ['a 404', ask(host, 'POST', '/nothing', CHUNKED)],
      ['a 405', ask(host, 'DELETE', '/events', CHUNKED)],
      ['a 415', ask(host, 'POST', '/events', { ...CHUNKED, 'Content-Type': 'a/b' })],
      ['a 417', ask(host, 'POST', '/events', { ...CHUNKED, ...JSON_TYPE, Expect: 'nonsense' })],
      ['a 400', ask(host, 'GET', '/health', { ...CHUNKED, Host: null })],
      ['a 200', ask(host, 'GET', '/health', CHUNKED)],
      ['a whole 404', ask(host, 'GET', '/nothing')],
      ['a whole 200', ask(host, 'GET', '/health')],
    ];
    const broken = early.flatMap(([label, bytes]) =>
      ['0_2e\r\n', '2\r\n{}\r\n-1\r\n', '\0\r\n\r\n'].flatMap((rest): Exchange[] => {
        const pieces = [bytes, Buffer.from(rest)];
        const may = [[200, 400, 404, 405, 415, 417], [400]];
        const how = `${JSON.stringify(rest)} behind ${label}`;
        return [
          { label: how, pieces: [Buffer.concat(pieces)], may, least: 1, closes: true },
          { label: `${how}, later`, pieces, pauseMs: 60, may, least: 1, closes: true },
        ];
      }),
    );
    await Promise.all([
      ...closers.map(async ([label, bytes, may]) => nothingBehind(attack, label, bytes, may)),
      attack.all(broken),
    ]);
  },
};

export const UPGRADES: Kind = {
  name: 'upgrades',
  about: 'Upgrade, CONNECT and the preface of HTTP/2, with a request in the same piece',
  async attack(attack) {
    const { host } = attack;
    const websocket = {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': 13,
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    };
    const h2c = {
      Connection: 'Upgrade, HTTP2-Settings',
      Upgrade: 'h2c',
      'HTTP2-Settings': 'AAMAAABkAAQAAP__',
    };
    const no = [400, 404, 405, 426, 501, 505];
    const starts: [string, Buffer, number[]][] = [
      ['Upgrade: websocket', ask(host, 'GET', '/health', websocket), [200, ...no]],
      ['Upgrade: websocket at /events', ask(host, 'GET', '/events', websocket), no],
      ['Upgrade: h2c', ask(host, 'GET', '/metrics', h2c), [200, 503, ...no]],
      ['Upgrade with an event', post(host, event(attack.newId()), { ...JSON_TYPE, ...h2c }), [202, ...no]],
      ['CONNECT', Buffer.from(`CONNECT example.com:443 HTTP/1.1\r\nHost: ${host}\r\n\r\n`), no],
      ['CONNECT to itself', Buffer.from(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`), no],
      ['the preface of HTTP/2', Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), no],
    ];
    await Promise.all(starts.map(async ([label, bytes, may]) => nothingBehind(attack, label, bytes, may)));
  },
};
