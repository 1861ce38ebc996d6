import type { Attack, Exchange, Kind } from '../attack.js';
import { ask, event, inThree, JSON_TYPE, NDJSON_TYPE, post } from '../requests.js';

type Case = readonly [label: string, bytes: Buffer, may: readonly number[]];

const BAD = [400];
const VERSION = [400, 505];
const LARGE = [400, 414, 431];

function malformed(attack: Attack): Case[] {
  const { host } = attack;
  const get = (start: string, ...lines: readonly string[]): Buffer =>
    Buffer.from(`${[start, ...lines].join('\r\n')}\r\n\r\n`, 'latin1');
  const text = event('malformed');
  const withLines = (...lines: readonly string[]): Buffer =>
    Buffer.concat([
      get('POST /events HTTP/1.1', `Host: ${host}`, 'Content-Type: application/json', ...lines),
      Buffer.from(text),
    ]);
  const { length } = text;
  const many = (count: number): string[] => Array.from({ length: count }, (_, index) => `X-${index}: 1`);
  const hosts = ['', 'a b', 'a/b', 'a@b', '[::1', 'a:b', 'a:99999999', `${host}, ${host}`, '\u{7f}'];
  return [
    ['two Host', get('GET /health HTTP/1.1', `Host: ${host}`, `Host: ${host}`), BAD],
    ['two Host to /events', withLines(`Content-Length: ${length}`, 'Host: b'), BAD],
    ['no Host', get('GET /health HTTP/1.1'), BAD],
    ...hosts.flatMap((name): Case[] => [
      [`Host: ${name}`, ask(name, 'GET', '/health'), [400, 421]],
      [`Host: ${name} to /events`, post(name, text), [400, 421]],
    ]),
    ['HTTP/2.0', replaced(post(host, text), 'HTTP/1.1', 'HTTP/2.0'), VERSION],
    ['HTTP/0.9', replaced(post(host, text), 'HTTP/1.1', 'HTTP/0.9'), VERSION],
    ['HTTP/1.10', replaced(post(host, text), 'HTTP/1.1', 'HTTP/1.10'), VERSION],
    ['http/1.1', replaced(post(host, text), 'HTTP/1.1', 'http/1.1'), VERSION],
    ['no version', replaced(post(host, text), ' HTTP/1.1', ''), VERSION],
    ['no version, GET', get('GET /health', `Host: ${host}`), VERSION],
    ['no path', replaced(post(host, text), ' /events', ''), BAD],
    ['a method in small letters', replaced(post(host, text), 'POST', 'post'), [400, 405, 501]],
    ['a space before the colon', withLines(`Content-Length : ${length}`), BAD],
    ['a folded line', withLines('X-A: 1', ' 2', `Content-Length: ${length}`), BAD],
    ['a NUL', withLines('X-A: \0', `Content-Length: ${length}`), BAD],
    ['a bare CR', withLines('X-A: 1\rX-B: 2', `Content-Length: ${length}`), BAD],
    ['a length with a sign', withLines(`Content-Length: +${length}`), BAD],
    ['a negative length', withLines('Content-Length: -1'), BAD],
    ['a length in two parts', withLines('Content-Length: 4 4'), BAD],
    ['a list of lengths', withLines(`Content-Length: ${length}, ${length}`), BAD],
    ['an endless length', withLines(`Content-Length: ${'9'.repeat(40)}`), [400, 413]],
    ['two lengths', withLines(`Content-Length: ${length}`, 'Content-Length: 1'), BAD],
    ['a length and chunks', withLines(`Content-Length: ${length}`, 'Transfer-Encoding: chunked'), BAD],
    ['chunked twice', withLines('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'), [400, 501]],
    ['chunked, gzip', withLines('Transfer-Encoding: chunked, gzip'), [400, 501]],
    ['an unknown transfer coding', withLines('Transfer-Encoding: xchunked'), [400, 501]],
    ['3,000 lines', withLines(...many(3000), `Content-Length: ${length}`), LARGE],
    ['2,100 short lines, the type last', shortLines(host, 2100, text), [415, ...LARGE]],
    ['a line of 16 KiB', withLines(`X-A: ${'a'.repeat(16_384)}`, `Content-Length: ${length}`), LARGE],
    ['a line of 1 MiB', withLines(`X-A: ${'a'.repeat(2 ** 20)}`, `Content-Length: ${length}`), LARGE],
    ['a path of 64 KiB', ask(host, 'GET', `/${'a'.repeat(65_536)}`), LARGE],
    ['a head that is one line of 64 KiB', Buffer.from('A'.repeat(65_536)), LARGE],
    ['TLS', Buffer.from('160301020001000', 'hex'), BAD],
    ['bytes', Buffer.from(Array.from({ length: 4096 }, () => attack.random.whole(128, 255))), BAD],
  ];
}

/** More than 2,000 lines in less than 16 KiB: where Node.js keeps no more of them, the last ones are missing. */
function shortLines(host: string, count: number, text: string): Buffer {
  const lines = Array.from({ length: count }, () => 'a:\r\n').join('');
  const last = `Content-Type: text/plain\r\nContent-Length: ${text.length}\r\n`;
  return Buffer.from(`POST /events HTTP/1.1\r\nHost: ${host}\r\n${lines}${last}\r\n${text}`);
}

function replaced(bytes: Buffer, what: string, by: string): Buffer {
  return Buffer.from(bytes.toString('latin1').replace(what, by), 'latin1');
}

export const MALFORMED_HEADS: Kind = {
  name: 'malformed-heads',
  about: 'hosts, versions, lengths, line ends and sizes that are wrong, in one piece and in three',
  limitMs: 15_000,
  async attack(attack) {
    const cases = malformed(attack);
    await attack.all(
      cases.flatMap(([label, bytes, may]): Exchange[] => [
        { label, pieces: [bytes], may: [may] },
        { label: `${label}, in three`, pieces: inThree(bytes), may: [may] },
      ]),
      40,
    );
    const text = event('tab');
    const tab = post(attack.host, text, { ...JSON_TYPE, 'Content-Length': `${text.length}\t` });
    const [one, three] = [
      await attack.exchange({ label: 'a tab behind the length', pieces: [tab], may: [[202, 400]] }),
      await attack.exchange({ label: 'a tab behind the length', pieces: inThree(tab), may: [[202, 400]] }),
    ];
    if (one[0] !== three[0])
      attack.fault(`a tab behind the length: ${one[0]} in one piece, ${three[0]} in three`);
  },
};

export const CONTENT_TYPES: Kind = {
  name: 'content-types',
  about: 'media types and marks that real senders use, and some that are wrong',
  async attack(attack) {
    const { host } = attack;
    const good = [
      'application/json',
      'application/json; charset=utf-8',
      'application/json; charset=utf8',
      'application/json; charset="UTF-8"',
      'application/json;charset=us-ascii',
      'application/json;',
      'application/json; profile="a;b"',
      'application/json; a=b; charset=utf-8',
      'APPLICATION/JSON',
      'application/vnd.api+json; version=1',
    ];
    const bad = [
      'text/plain',
      'application/jsonx',
      'application/json; charset=utf-16',
      'application/json; charset=latin1',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=a',
      'json',
      'application/json, text/plain',
    ];
    const line = { ...NDJSON_TYPE, 'Content-Type': 'application/x-ndjson; charset=utf8' };
    const one = (type: string | null, may: readonly number[]): Exchange => {
      const bytes = post(host, event(attack.newId()), { 'Content-Type': type });
      return { label: `Content-Type: ${type}`, pieces: [bytes], may: [may] };
    };
    const marked = (headers: typeof JSON_TYPE, body: string): Exchange => {
      const label = `a byte order mark in ${headers['Content-Type']}`;
      return { label, pieces: [post(host, `\u{feff}${body}`, headers)], may: [[202]] };
    };
    await attack.all([
      ...good.map((type) => one(type, [202])),
      ...bad.map((type) => one(type, [400, 415])),
      one(null, [415]),
      marked(JSON_TYPE, event(attack.newId())),
      marked(JSON_TYPE, `[${event(attack.newId())}]`),
      marked(line, `${event(attack.newId())}\n`),
    ]);
  },
};

export const BROWSERS: Kind = {
  name: 'browsers',
  about: 'what a web page can send to a server on its reader’s machine',
  async attack(attack) {
    const { host } = attack;
    const evil = 'evil.example';
    const from = { Origin: `https://${evil}`, 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'no-cors' };
    const exchanges: Exchange[] = [];
    const posted = (
      label: string,
      name: string,
      headers: Record<string, string>,
      may: readonly number[],
    ): void => {
      const id = attack.newId();
      exchanges.push({ label, pieces: [post(name, event(id), headers)], may: [may] });
      if (!may.includes(202)) attack.never.add(id);
    };
    const refused = [400, 403, 415, 421];
    posted('cross-site', host, { ...JSON_TYPE, ...from }, [403]);
    posted('cross-site without a type', host, from, refused);
    posted('cross-site text', host, { ...from, 'Content-Type': 'text/plain;charset=UTF-8' }, refused);
    posted('same-site', host, { ...JSON_TYPE, ...from, 'Sec-Fetch-Site': 'same-site' }, refused);
    posted('Host: evil.example', evil, JSON_TYPE, [421]);
    posted('Host: evil.example:PORT', `${evil}:${attack.port}`, JSON_TYPE, [421]);
    posted('Host: 127.0.0.1.evil.example', `127.0.0.1.${evil}`, JSON_TYPE, [421]);
    posted(
      'same-origin',
      host,
      { ...JSON_TYPE, Origin: `http://${host}`, 'Sec-Fetch-Site': 'same-origin' },
      [202],
    );
    posted('Host: 127.0.0.1', `127.0.0.1:${attack.port}`, JSON_TYPE, [202]);
    posted('Host: LOCALHOST', `LOCALHOST:${attack.port}`, JSON_TYPE, [202]);
    for (const path of ['/', '/metrics', '/page/live', '/page/page.js', '/nothing']) {
      exchanges.push({ label: `${path} of evil.example`, pieces: [ask(evil, 'GET', path)], may: [[421]] });
    }
    await attack.all(exchanges);
  },
};
