import { gzipSync } from 'node:zlib';
import t from 'tap';
import { Reporter, silentLogger } from '../../../lib/base/reporter.js';
import { markedLine } from '../../../lib/logs/file/checksum.js';
import { Publisher } from '../../../lib/logs/jetstream/publisher.js';
import type { LogConnection, StreamManager } from '../../../lib/logs/jetstream/servers.js';
import { streamBatch } from '../../../lib/logs/jetstream/stream-batch.js';
import { streamMessage } from '../../../lib/logs/jetstream/stream-message.js';
import { streamNames } from '../../../lib/logs/jetstream/stream-names.js';
import { StreamReader } from '../../../lib/logs/jetstream/stream-reader.js';
import { eventText } from '../../helpers/running-forebay.js';

const unused = async (): Promise<never> => Promise.reject(new Error('nobody asks for it'));

/** What is stored, by subject. */
function storing() {
  const stored: { readonly subject: string; readonly bytes: number; readonly data: Buffer }[] = [];
  const request = async (subject: string, data: Uint8Array | string) => {
    stored.push({ subject, bytes: data.length, data: Buffer.from(data) });
    return Promise.resolve({ string: () => JSON.stringify({ seq: stored.length }) });
  };
  const nothing = { publish: () => undefined, subscribe: () => ({ unsubscribe: () => undefined }) };
  const nc = { ...nothing, request, flush: async () => Promise.resolve(), isClosed: () => false };
  const connection: LogConnection = {
    nc,
    isUp: true,
    up: async () => Promise.resolve(true),
    close: async () => Promise.resolve(),
  };
  const jsm: StreamManager = {
    streams: {
      info: unused,
      update: unused,
      purge: unused,
      getMessage: async (_stream, query) => {
        const seq = stored.findLastIndex(
          ({ subject }) => 'last_by_subj' in query && subject === query.last_by_subj,
        );
        const last = stored[seq];
        return Promise.resolve(last === undefined ? null : { ...last, seq, time: new Date(0) });
      },
    },
    consumers: { info: unused, unpin: unused },
  };
  const options = {
    jsm,
    publisher: new Publisher(connection, 1000),
    names: streamNames('log'),
    streamId: 'a',
    partBytesMost: 100,
    reporter: new Reporter(),
  };
  return { stored, options };
}

const message = (seq: number, events: number, data: Buffer) => {
  return {
    seq,
    events,
    data,
    lineBytes: data.length,
    storedBytes: data.length,
    reply: '',
    deliveries: 1,
    storedAtMs: 0,
    fromSeq: seq,
  };
};

void t.test(
  'what somebody else has stored is taken by its lines, and what is damaged goes aside in pieces',
  async (t) => {
    const { stored, options } = storing();
    const missed: number[] = [];
    const reader = new StreamReader({ ...options, missed: (events) => void missed.push(events) });
    const sound = Buffer.from(['a', 'b'].map((id) => markedLine(eventText(id))).join(''));
    const batch = streamBatch([message(7, 0, sound), message(8, 3, Buffer.alloc(250, 'x'))]);
    t.equal((await reader.read(batch)).events, 2);
    t.same(await reader.placesOf(batch), [
      { seq: 7, index: 0 },
      { seq: 7, index: 1 },
    ]);
    t.same(
      stored.map(({ subject, bytes }) => [subject, bytes]),
      [
        ['log-quarantine.8', 100],
        ['log-quarantine.8', 100],
        ['log-quarantine.8', 50],
      ],
    );
    t.same(missed, [3]);
    t.equal(reader.forget(batch), 3);
    await new StreamReader({ ...options, missed: () => undefined }).read(batch);
    t.equal(stored.length, 3, 'another instance that gets it later finds it there');
  },
);

/** A message as the servers hand it out. */
function handedOut(seq: number, events: number, data: Buffer) {
  const reply = `$JS.ACK.log-events.delivery.1.${seq}.1.0.0`;
  const handed = streamMessage({ subject: `log-events.${events}`, reply, data });
  if (handed === null) throw new Error('it is none');
  return handed;
}

const EVENTS = Array.from({ length: 200 }, (_each, n) => markedLine(eventText(`${n}`, n * n))).join('');
const SUM = gzipSync(EVENTS).readUInt32LE(gzipSync(EVENTS).length - 8);

/** The checksum and the size of the lines, which a gzip file ends with. */
for (const [what, end] of [
  ['size', [SUM, 300]],
  ['checksum', [SUM ^ 1, EVENTS.length]],
] as const) {
  void t.test(
    `the ${what} of a compressed message is damaged: lost events are counted, and it is said once`,
    async (t) => {
      const { stored, options } = storing();
      const said: string[] = [];
      const error = (_fields: object, text: string): void => void said.push(text);
      const reporter = new Reporter({ ...silentLogger, error });
      const missed: number[] = [];
      const reader = new StreamReader({ ...options, reporter, missed: (events) => void missed.push(events) });
      const data = gzipSync(EVENTS);
      data.set(Buffer.from(Uint32Array.from(end).buffer), data.length - 8);
      const batch = streamBatch([handedOut(9, 200, data)]);
      const { events } = await reader.read(batch);
      t.equal(events === 200, what === 'checksum', `${events} events can be read`);
      await reader.read(batch);
      t.same(missed, [200 - events]);
      t.equal(reader.forget(batch), 200 - events);
      t.equal(said.length, 1);
      t.ok(Buffer.concat(stored.map((each) => each.data)).equals(data));
    },
  );
}

void t.test('a compressed message goes aside as it is, however large its damaged lines are', async (t) => {
  const { stored, options } = storing();
  const reader = new StreamReader({ ...options, missed: () => undefined });
  const data = gzipSync(Buffer.concat([Buffer.from(EVENTS), Buffer.alloc(2 ** 20)]));
  t.equal((await reader.read(streamBatch([handedOut(9, 200, data)]))).events, 200);
  t.ok(Buffer.concat(stored.map((each) => each.data)).equals(data));
});
