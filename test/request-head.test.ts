import t from 'tap';
import { plainHead } from '../lib/http/request-head.js';

const head = (...fields: string[]): string => `POST /events HTTP/1.1\r\n${fields.join('\r\n')}\r\n\r\n`;
const PLAIN = ['Host: test', 'Content-Length: 2'];

void t.test('a plain head gives the length and the format of its body', (t) => {
  t.match(plainHead(head(...PLAIN)), { format: 'json', bodyBytes: 2 });
  t.match(plainHead(head(...PLAIN, 'Content-Type: application/json; charset=utf-8')), {
    format: 'json',
    bodyBytes: 2,
  });
  t.match(plainHead(head(...PLAIN, 'content-TYPE:application/x-ndjson')), { format: 'ndjson', bodyBytes: 2 });
  t.match(plainHead(head(...PLAIN, 'Connection: keep-alive', 'Accept: */*')), {
    format: 'json',
    bodyBytes: 2,
  });
  t.end();
});

void t.test('what is not plain is for node:http', (t) => {
  const others: Record<string, string> = {
    'no length': head('Host: test'),
    'two lengths': head(...PLAIN, 'Content-Length: 2'),
    'a length that is no number': head('Host: test', 'Content-Length: +2'),
    'no host': head('Content-Length: 2'),
    'two hosts': head(...PLAIN, 'Host: other'),
    'a transfer coding': head(...PLAIN, 'Transfer-Encoding: chunked'),
    'a content coding': head(...PLAIN, 'Content-Encoding: gzip'),
    'an expectation': head(...PLAIN, 'Expect: 100-continue'),
    'a preference': head(...PLAIN, 'Prefer: handling=lenient'),
    'a connection to be closed': head(...PLAIN, 'Connection: close'),
    'another type': head(...PLAIN, 'Content-Type: text/plain'),
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
