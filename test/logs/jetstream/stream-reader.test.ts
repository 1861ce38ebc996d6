import t from 'tap';
import { Reporter } from '../../../lib/base/reporter.js';
import { markedLine } from '../../../lib/logs/file/checksum.js';
import { Publisher } from '../../../lib/logs/jetstream/publisher.js';
import type { LogConnection, StreamManager } from '../../../lib/logs/jetstream/servers.js';
import { streamBatch } from '../../../lib/logs/jetstream/stream-batch.js';
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
