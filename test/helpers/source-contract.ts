import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import type { Test } from 'tap';
import { ERRORS, ForebayError } from '../../lib/base/errors.js';
import type { ErrorCode } from '../../lib/base/errors.js';
import { silentLogger } from '../../lib/base/reporter.js';
import type { EventReader, Source } from '../../lib/seams/source.js';
import { chunk, CHUNKED, ids, openRaw, post } from './raw-door.js';
import type { Door } from './raw-door.js';
import type { RawAnswer } from './raw-client.js';
import type { Cannot } from './sink-contract.js';
import { headOf, LIMITS } from './read-source.js';
import type { Headers } from './read-source.js';
import { until } from './wait-for.js';

/** A request, without what frames it. */
export interface Sent {
  readonly headers: Headers;
  readonly body: string;
}

/** A request that is refused, and what its answer must say. */
export interface Refused extends Sent {
  readonly status: number;
  /** What names the field or the line that is wrong. */
  readonly names: RegExp;
}

/** Requests to a source. */
export interface SourceSample {
  readonly source: Source;
  /** A request for one event with this id. */
  readonly good: (id: string) => Sent;
  /** The answer when it is on disk. */
  readonly accepted: { readonly status: number; readonly body: string };
  readonly refusedByHead: Refused;
  readonly refusedByBody: Refused;
  /** One whose bytes are not what the sender signed. */
  readonly forged: Refused | Cannot;
}

/** A header that means nothing to a source, but sends a request to `node:http`. */
const NOT_PLAIN = { Prefer: 'respond-async' };
const BODY_BYTES_MAX = 65_536;

/** What every source does, whatever it understands, on the fast path and without it. */
export function sourceContract(name: string, sample: SourceSample): void {
  const { source, good, accepted, refusedByHead, refusedByBody, forged } = sample;
  const slow = Object.create(source, { isFast: { value: false } }) as Source;
  const wire = ({ headers, body }: Sent, extra: Headers = {}): string =>
    post({ ...headers, ...extra, 'Content-Length': Buffer.byteLength(body) }, body, source.path);
  const headOnly = ({ headers }: Sent, more: Readonly<Record<string, string | number>>): string =>
    post({ ...headers, ...more }, '', source.path);

  /** Claims something of a server with this source alone; one that no server can be asked for is skipped. */
  const claim = (
    title: string,
    check: (t: Test, door: Door, way: Source) => Promise<void>,
    { queueSize = 100, ...skip }: { readonly queueSize?: number; readonly skip?: string } = {},
  ): void => {
    for (const [way, each] of Object.entries({ 'fast path': source, 'node:http': slow })) {
      void t.test(`${name}: ${title}, ${way}`, skip, async (t) => {
        await check(t, await openRaw(t, { sources: [each], bodyBytesMax: BODY_BYTES_MAX, queueSize }), each);
      });
    }
  };
  /** The sink gets these events and the one that is sent now, and no others. */
  const hasTaken = async (t: Test, { connect, sink }: Door, taken: readonly string[]): Promise<void> => {
    const client = await connect();
    await client.send(wire(good('last')));
    t.equal((await client.answer()).status, accepted.status, 'others are served');
    await until(() => ids(sink.lines).includes('last'), 'the last event is delivered');
    t.same(ids(sink.lines), [...taken, 'last']);
  };
  const isRefused = (t: Test, answer: RawAnswer, { status, names }: Refused): void => {
    t.equal(answer.status, status);
    t.match(answer.body, names, 'the answer names what is wrong');
  };

  claim('its events are delivered, answered in its words, and counted at its path', async (t, door, way) => {
    const client = await door.connect();
    for (const id of ['a', 'b']) {
      await client.send(wire(good(id)));
      t.match(await client.answer(), accepted);
    }
    t.equal(door.server.handedOverConnections, way.isFast ? 0 : 1);
    t.equal(door.server.counts.answered.get(source.path)?.get(accepted.status), 2);
    await hasTaken(t, door, ['a', 'b']);
  });

  claim(
    'if there is no room it is refused before its body is read',
    async (t, door) => {
      door.disk.hold();
      const first = await door.connect();
      await first.send(wire(good('first')));
      await until(() => door.disk.flushes === 1, 'it is the whole queue');
      const late = await door.connect();
      await late.send(headOnly(good('late'), { 'Content-Length': 1000 }));
      const answer = await late.answer();
      const words = source.refused(new ForebayError('QUEUE_FULL'));
      t.match(answer, { status: words.status, body: words.body });
      t.match(answer.headers['retry-after'], /^\d+$/);
      door.disk.release();
      t.equal((await first.answer()).status, accepted.status);
    },
    { queueSize: 1 },
  );

  claim('what its head tells is refused before its body is read', async (t, door) => {
    const client = await door.connect();
    await client.send(headOnly(refusedByHead, { 'Content-Length': 1000, Expect: '100-continue' }));
    isRefused(t, await client.answer(), refusedByHead);
    await hasTaken(t, door, []);
  });

  claim('a body that is wrong is refused with words, and nothing of it is taken', async (t, door) => {
    const client = await door.connect();
    await client.send(wire(refusedByBody));
    isRefused(t, await client.answer(), refusedByBody);
    await client.send(wire(good('next')));
    t.equal((await client.answer()).status, accepted.status, 'its connection stays');
    t.equal(door.server.counts.answered.get(source.path)?.get(refusedByBody.status), 1);
    await hasTaken(t, door, ['next']);
  });

  claim('a body that was cut off leaves no trace', async (t, door) => {
    const client = await door.connect();
    const bytes = wire(good('half'));
    await client.send(bytes.slice(0, -3));
    await sleep(20);
    client.abort();
    await hasTaken(t, door, []);
  });

  claim('a body without end is refused at --body-max', async (t, door) => {
    const client = await door.connect();
    await client.send(headOnly(good('a'), CHUNKED));
    const sent = { bytes: 0 };
    const reading = once(client.socket, 'data');
    const isAnswered = reading.then(() => true);
    while (
      !(await Promise.race([isAnswered, client.send(chunk(' '.repeat(8192))).then(() => sleep(1, false))]))
    )
      sent.bytes += 8192;
    t.equal((await client.answer()).status, 413);
    t.ok(sent.bytes < 2 ** 22, `${sent.bytes} bytes were read`);
    await hasTaken(t, door, []);
  });

  claim(
    'what its sender did not sign is refused, however it is sent',
    async (t, door) => {
      if ('cannot' in forged) throw new Error(forged.cannot);
      const { headers, body } = forged;
      const pieces = body.replaceAll(/./gs, (char) => chunk(char));
      for (const bytes of [
        wire(forged),
        wire(forged, NOT_PLAIN),
        headOnly({ headers, body }, CHUNKED) + pieces + chunk(''),
      ]) {
        const client = await door.connect();
        await client.send(bytes);
        isRefused(t, await client.answer(), forged);
      }
      await hasTaken(t, door, []);
    },
    'cannot' in forged ? { skip: forged.cannot } : {},
  );

  void t.test(`${name}: both ways answer the same, and log the same`, async (t) => {
    const seen: object[] = [];
    for (const each of [source, slow]) {
      const lines: string[] = [];
      const info = (fields: object, text: string): void => {
        if ('path' in fields) lines.push(text.replace(/[\d.]+ ms$/, 'ms'));
      };
      const { connect } = await openRaw(t, {
        sources: [each],
        accessLog: 1,
        logger: { ...silentLogger, info },
      });
      const client = await connect();
      const answers: object[] = [];
      for (const sent of [good('a'), refusedByBody, refusedByHead, good('b')]) {
        await client.send(wire(sent));
        const { status, body, headers: all } = await client.answer();
        const { date, 'x-request-id': id, ...headers } = all;
        t.ok(date !== undefined && id !== undefined);
        answers.push({ status, body, headers });
      }
      await until(() => lines.length === 4, 'each request has its line');
      t.ok(lines.every((line) => line.startsWith(`POST ${source.path} `)));
      seen.push({ answers, lines });
    }
    t.same(seen[0], seen[1]);
  });

  void t.test(`${name}: every error has an answer`, (t) => {
    for (const [code, { status }] of Object.entries(ERRORS)) {
      const { status: answered } = source.refused(new ForebayError(code as ErrorCode, { retryAfterMs: 1 }));
      t.ok(answered >= 400 && answered < 600, code);
      if (status !== null && status >= 500)
        t.ok(answered >= 500, `${code}: a fault of the server is not the sender's`);
    }
    t.end();
  });

  /** Reads a body in pieces of this length, with no server in front. */
  const read = (
    { headers, body }: Sent,
    pieceBytes: number,
  ): { reader: EventReader; given: WeakRef<object> } => {
    const head = headOf(headers, source.path);
    const bytes = Buffer.alloc(Buffer.byteLength(body), body);
    const reader = source.readerFor(head, LIMITS)(0);
    for (let at = 0; at < bytes.length; at += pieceBytes) reader.append(bytes.subarray(at, at + pieceBytes));
    reader.end();
    return { reader, given: new WeakRef(bytes.buffer) };
  };

  void t.test(`${name}: in whatever pieces a body comes it is the same event`, (t) => {
    const sent = good('a');
    const linesOf = (pieceBytes: number): string => read(sent, pieceBytes).reader.block.lineOf(0).toString();
    t.match(linesOf(1e6), /"a"/);
    const timeless = (text: string): string => text.replace(/"timestamp":\d+/g, '');
    for (const pieceBytes of [1, 2, 7]) t.equal(timeless(linesOf(pieceBytes)), timeless(linesOf(1e6)));
    t.end();
  });

  void t.test(`${name}: while its events wait for the disk nothing of the body is held`, async (t) => {
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    const { reader, given } = read(good('a'), 1e6);
    await sleep(1); // a WeakRef lives as long as the turn that it was made in
    gc();
    t.equal(given.deref(), undefined);
    t.equal(reader.block.length, 1);
  });
}
