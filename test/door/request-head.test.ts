import t from 'tap';
import { plainHead } from '../../lib/door/request-head.js';

const head = (...fields: string[]): string => `POST /events HTTP/1.1\r\n${fields.join('\r\n')}\r\n\r\n`;
const PLAIN = ['Host: localhost', 'Content-Length: 2', 'Content-Type: application/json'];

void t.test('a plain head gives the path, the headers and the length of the body', (t) => {
  const plain = plainHead(head(...PLAIN));
  t.match(plain, { target: '/events', bodyBytes: 2 });
  t.equal(plain?.header('content-type'), 'application/json');
  t.equal(plain?.header('x-request-id'), undefined);
  const text = head('Host:a', 'content-LENGTH:  7 ', 'constructor: x', '__proto__: y', 'X:', 'x: \t2');
  const odd = plainHead(text);
  t.match(odd, { bodyBytes: 7, text });
  t.same(
    ['host', 'constructor', '__proto__', 'x', 'prefer'].map((name) => odd?.header(name)),
    ['a', 'x', 'y', ', 2', undefined],
  );
  t.match(plainHead(head(...PLAIN, 'Connection: keep-alive', 'Accept: */*')), { bodyBytes: 2 });
  t.match(plainHead(head(...PLAIN).replace('/events', '/in/git-hub')), { target: '/in/git-hub' });
  t.end();
});

void t.test('headers are found by the start of their names, in any case', (t) => {
  const named = (prefix: string, ...fields: string[]) => [
    ...(plainHead(head(...PLAIN, ...fields))?.headersWith(prefix) ?? []),
  ];
  for (let round = 0; round < 2; round++) {
    t.same(named('ce-', 'CE-Id: \t1 ', 'x-ce-a: 2', 'ce-:', 'ce-id:3', 'Ce-B: c:d'), [
      ['ce-id', '1, 3'],
      ['ce-', ''],
      ['ce-b', 'c:d'],
    ]);
    t.same(named('ce-', 'CE-Id: 1'), [['ce-id', '1']]);
    t.same(named('ce-', 'X: ce-a: 1'), []);
    t.same(named('x.', 'xyz: 1', 'x.a: 2'), [['x.a', '2']]);
  }
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
    'a space before the colon': head(...PLAIN, 'Transfer-Encoding : chunked'),
    'a folded value': head(...PLAIN, 'X: 1', ' Transfer-Encoding: chunked'),
    'a bare line feed': head(...PLAIN, 'X: 1\nTransfer-Encoding: chunked'),
    'a bare carriage return': head(...PLAIN, 'X: 1\rTransfer-Encoding: chunked'),
    'a NUL': head(...PLAIN, 'X: \u0000'),
    'a query': head(...PLAIN).replace('/events', '/events?x'),
    'a whole URI': head(...PLAIN).replace('/events', 'http://localhost/events'),
    'no path': head(...PLAIN).replace('/events', '*'),
    'a space in the path': head(...PLAIN).replace('/events', '/events /events'),
    'another method': head(...PLAIN).replace('POST', 'PUT'),
    'HTTP/1.0': head(...PLAIN).replace('1.1', '1.0'),
  };
  for (const [what, text] of Object.entries(others)) t.equal(plainHead(text), null, what);
  t.end();
});
