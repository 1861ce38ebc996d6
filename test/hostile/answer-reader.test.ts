import t from 'tap';
import { AnswerReader } from './answer-reader.js';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello';
const CHUNKED = 'HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n';
const TO_HEAD = 'HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 5\r\n\r\n';
const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';
const LAST = 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}';

/** In one piece, and in two at each place. */
function readers(text: string): AnswerReader[] {
  return Array.from({ length: text.length }, (_, place) => {
    const reader = new AnswerReader();
    if (place > 0) reader.append(Buffer.from(text.slice(0, place)));
    reader.append(Buffer.from(text.slice(place)));
    return reader;
  });
}

void t.test('the statuses of pipelined answers are read, in however many pieces they come', (t) => {
  for (const { statuses, interim, garbage, wentOnAfterClose } of readers(
    OK + CHUNKED + TO_HEAD + CONTINUE + OK + LAST,
  )) {
    t.same(statuses, [200, 404, 405, 200, 400]);
    t.same(interim, [100]);
    t.equal(garbage, null);
    t.notOk(wentOnAfterClose);
  }
  t.end();
});

void t.test('what is written into the body of an answer shows', (t) => {
  for (const { garbage } of readers(OK.replace('llo', `${CONTINUE}llo`) + OK)) t.not(garbage, null);
  t.end();
});

void t.test('an answer after one that closes shows', (t) => {
  for (const { wentOnAfterClose } of readers(LAST + OK)) t.ok(wentOnAfterClose);
  t.end();
});
