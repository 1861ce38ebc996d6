import t from 'tap';
import { Reporter } from '../../../lib/base/reporter.js';
import { markedLine } from '../../../lib/logs/file/checksum.js';
import { Publisher } from '../../../lib/logs/jetstream/publisher.js';
import type { LogConnection } from '../../../lib/logs/jetstream/servers.js';
import { streamBatch } from '../../../lib/logs/jetstream/stream-batch.js';
import { streamNames } from '../../../lib/logs/jetstream/stream-names.js';
import { StreamReader } from '../../../lib/logs/jetstream/stream-reader.js';
import { eventText } from '../../helpers/running-forebay.js';

/** What is stored, by subject. */
function storing() {
  const stored: { readonly subject: string; readonly bytes: number }[] = [];
  const request = async (subject: string, data: Uint8Array | string) => {
    stored.push({ subject, bytes: data.length });
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
  return { stored, publisher: new Publisher(connection, 1000) };
}

const message = (seq: number, events: number, data: Buffer) => {
  return {
    seq,
    events,
    data,
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
    const { stored, publisher } = storing();
    const missed: number[] = [];
    const reader = new StreamReader({
      publisher,
      names: streamNames('log'),
      streamId: 'a',
      partBytesMost: 100,
      reporter: new Reporter(),
      missed: (events) => void missed.push(events),
    });
    const sound = Buffer.from(['a', 'b'].map((id) => markedLine(eventText(id))).join(''));
    const batch = streamBatch([message(7, 0, sound), message(8, 3, Buffer.alloc(250, 'x'))]);
    t.equal((await reader.read(batch)).events, 2);
    t.same(reader.placesOf(batch), [
      { seq: 7, index: 0 },
      { seq: 7, index: 1 },
    ]);
    t.same(
      stored.map(({ subject, bytes }) => [subject, bytes]),
      [
        ['log-quarantine.8', 100],
        ['log-quarantine.8', 100],
        ['log-quarantine.8', 51],
      ],
    );
    t.same(missed, [3]);
    t.equal(reader.forget(batch), 3);
  },
);
