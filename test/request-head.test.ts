import t from 'tap';
import { bodyFormat, plainHead } from '../lib/http/request-head.js';

const head = (...fields: string[]): string => `POST /events HTTP/1.1\r\n${fields.join('\r\n')}\r\n\r\n`;
const PLAIN = ['Host: localhost', 'Content-Length: 2', 'Content-Type: application/json'];
const UNTYPED = PLAIN.slice(0, 2);

void t.test('a plain head gives the length and the format of its body', (t) => {
  t.match(plainHead(head(...PLAIN)), { format: 'json', bodyBytes: 2 });
  t.match(plainHead(head(...UNTYPED, 'Content-Type: application/json; charset=utf-8')), {
    format: 'json',
    bodyBytes: 2,
  });
  t.match(plainHead(head(...UNTYPED, 'content-TYPE:application/x-ndjson')), {
    format: 'ndjson',
    bodyBytes: 2,
  });
  t.match(plainHead(head(...PLAIN, 'Connection: keep-alive', 'Accept: */*')), {
    format: 'json',
    bodyBytes: 2,
  });
  t.end();
});

void t.test('what is not plain is for node:http', (t) => {
  const others: Record<string, string> = {
    'no length': head('Host: localhost', 'Content-Type: application/json'),
    'two lengths': head(...PLAIN, 'Content-Length: 2'),
    'a length that is no number': head(
      'Host: localhost',
      'Content-Length: +2',
      'Content-Type: application/json',
    ),
    'a tab in front of the length': head(...PLAIN).replace('Length: ', 'Length:\t'),
    'two types': head(...PLAIN, 'Content-Type: application/json'),
    'no type': head(...UNTYPED),
    'an origin': head(...PLAIN, 'Origin: http://localhost'),
    'what a browser says of the page': head(...PLAIN, 'Sec-Fetch-Site: cross-site'),
    'more lines than a head may have': head(...PLAIN, ...Array<string>(2000).fill('X: 1')),
    'no host': head(...PLAIN.slice(1)),
    'two hosts': head(...PLAIN, 'Host: other'),
    'a transfer coding': head(...PLAIN, 'Transfer-Encoding: chunked'),
    'a content coding': head(...PLAIN, 'Content-Encoding: gzip'),
    'an expectation': head(...PLAIN, 'Expect: 100-continue'),
    'a preference': head(...PLAIN, 'Prefer: handling=lenient'),
    'a connection to be closed': head(...PLAIN, 'Connection: close'),
    'another type': head(...UNTYPED, 'Content-Type: text/plain'),
    'a space before the colon': head(...PLAIN, 'Transfer-Encoding : chunked'),
    'a folded value': head(...PLAIN, 'X: 1', ' Transfer-Encoding: chunked'),
    'a bare line feed': head(...PLAIN, 'X: 1\nTransfer-Encoding: chunked'),
    'a bare carriage return': head(...PLAIN, 'X: 1\rTransfer-Encoding: chunked'),
    'a NUL': head(...PLAIN, 'X: \u0000'),
    'another path': head(...PLAIN).replace('/events', '/events?x'),
    'another method': head(...PLAIN).replace('POST', 'PUT'),
    'HTTP/1.0': head(...PLAIN).replace('1.1', '1.0'),
  };
  for (const [what, text] of Object.entries(others)) t.equal(plainHead(text), null, what);
  t.end();
});

void t.test('a media type is read as RFC 9110 has it', (t) => {
  const types: Record<string, 'json' | 'ndjson' | null> = {
    'application/json; charset=utf8': 'json',
    'application/json; charset=us-ascii': 'json',
    'application/json;charset="UTF-8"': 'json',
    'application/json; charset=utf-8; version=1': 'json',
    'application/json; profile="a;b=\\"c"': 'json',
    'application/json;': 'json',
    'application/json ; ; ': 'json',
    'Application/CloudEvents+JSON; charset=utf-8': 'json',
    'application/x-ndjson;v=1': 'ndjson',
    'application/json; charset=utf-16': null,
    'application/json; charset=utf-8; charset=latin1': null,
    'application/json; v=1; CHARSET="iso-8859-1"': null,
    'application/json charset=utf-8': null,
    'application/json; charset = utf-8': null,
    'application/json, text/plain': null,
    'text/json': null,
    json: null,
    '': null,
  };
  for (const [type, format] of Object.entries(types)) t.equal(bodyFormat(type), format, type);
  t.equal(bodyFormat(undefined), null);
  // one reading of it only: no time that grows with the ways to read it
  t.equal(bodyFormat(`application/json${'; '.repeat(8000)}!`), null);
  t.end();
});
