import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { BodyReading } from '../../lib/door/body-reading.js';
import { UNLIMITED } from '../../lib/seams/client.js';
import { IncomingBodies } from '../../lib/door/incoming-bodies.js';
import { EventBlock } from '../../lib/event/event-block.js';
import { noise } from '../helpers/left-files.js';
import { until } from '../helpers/running-forebay.js';

/** A body that is being read, and what has become of it. */
function reading(coding: string): {
  req: IncomingMessage;
  bodies: IncomingBodies;
  done: unknown[];
  length: () => number;
} {
  const req = new IncomingMessage(new Socket());
  const bodies = new IncomingBodies(1e9, 0);
  const done: unknown[] = [];
  let length = 0;
  const reader = {
    block: new EventBlock(),
    append: (piece: Buffer) => void (length += piece.length),
    end: () => undefined,
    accepted: () => ({ status: 202, headers: {}, body: '' }),
  };
  const res = new ServerResponse(req);
  const client = { id: '192.0.2.7', limits: UNLIMITED };
  const common = { req, res, coding, reader, bodies, client, bodyBytesMax: 1e9, verify: undefined };
  const options = { ...common, refusal: () => null, done: (error: unknown) => void done.push(error) };
  new BodyReading(options).begin();
  return { req, bodies, done, length: () => length };
}

// more than a decoder gives at once
const TEXT = noise(1, 1_000_000);

void t.test('a client that goes before the end of its body leaves nothing behind', async (t) => {
  for (const [coding, sent] of [
    ['identity', TEXT],
    ['gzip', gzipSync(TEXT)],
  ] as const) {
    const { req, bodies, done } = reading(coding);
    req.push(sent.subarray(0, sent.length >> 1));
    await until(() => bodies.bytes > 1000, 'some of it is held');
    req.destroy();
    await until(() => req.closed, 'it has gone');
    await sleep(20);
    t.equal(bodies.bytes, 0, coding);
    t.same(done, [], 'and nobody is told');
  }
});

void t.test('a body that is whole is read to its end, also if its client goes meanwhile', async (t) => {
  const { req, bodies, done, length } = reading('gzip');
  req.on('end', () => {
    req.complete = true;
    req.destroy();
  });
  req.push(gzipSync(TEXT));
  req.push(null);
  await until(() => req.closed, 'it has gone');
  t.ok(length() < TEXT.length, 'while the decoder is still at work');
  await until(() => done.length > 0, 'it is read');
  t.same(done, [null]);
  t.equal(length(), TEXT.length);
  t.equal(bodies.bytes, 0);
});
