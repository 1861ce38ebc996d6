import { headers } from '@nats-io/nats-core';
import t from 'tap';
import { Puller } from '../../../lib/logs/jetstream/puller.js';
import type { ServersMessage } from '../../../lib/logs/jetstream/servers.js';
import { serversOf } from '../../../lib/logs/jetstream/stream-watch.js';

const NEVER = new AbortController().signal;
const ROOM = { messages: 2, bytes: 1000 };

/** Servers of which a test says every word. */
function silentServers(isUp: boolean) {
  const asked: string[] = [];
  let take: (error: Error | null, message: ServersMessage) => void = () => undefined;
  const connection = {
    nc: {
      request: async () => Promise.reject(new Error('nobody answers')),
      publish: (_subject: string, _data: string, options?: { reply: string }) =>
        void asked.push(options?.reply ?? ''),
      subscribe: (_subject: string, { callback }: { callback: typeof take }) => {
        take = callback;
        return { unsubscribe: () => undefined };
      },
      flush: async () => Promise.resolve(),
      isClosed: () => false,
    },
    isUp,
    up: async () => Promise.resolve(isUp),
    close: async () => Promise.resolve(),
  };
  const say = (subject: string, code: number): void => {
    take(null, { subject, data: new Uint8Array(), headers: headers(code, 'as it is') });
  };
  const hand = (seq: number): void => {
    const reply = `$JS.ACK.s.c.1.${seq}.${seq}.1700000000000000000.0`;
    take(null, { subject: 's.1', reply, data: Buffer.from('{}'), headers: headers() });
  };
  return { connection, asked, say, hand };
}

void t.test('the last word about an earlier request ends no other', async (t) => {
  const { connection, asked, say, hand } = silentServers(true);
  const puller = new Puller(connection, 's', 'c', null);
  const seqs: number[] = [];
  puller.start(({ seq }) => void seqs.push(seq));
  const first = puller.pull(ROOM, NEVER);
  hand(1);
  hand(2);
  t.equal(await first, true);
  let isOver = false;
  const second = puller.pull(ROOM, NEVER).finally(() => (isOver = true));
  say(asked[0] ?? '', 409);
  await new Promise(setImmediate);
  t.equal(isOver, false);
  hand(3);
  say(asked[1] ?? '', 408);
  t.equal(await second, true);
  t.same(seqs, [1, 2, 3]);
  t.equal(new Set(asked).size, 2, 'each has a subject of its own');
});

void t.test(
  'a word that there is no consumer is no answer, so that it is not asked again at once',
  async (t) => {
    for (const [status, isAnswer] of [
      [503, false],
      [409, false],
      [408, true],
    ] as const) {
      const { connection, asked, say } = silentServers(true);
      const puller = new Puller(connection, 's', 'c', null);
      puller.start(() => undefined);
      const pull = puller.pull(ROOM, NEVER);
      say(asked[0] ?? '', status);
      t.equal(await pull, isAnswer, String(status));
    }
  },
);

void t.test('nothing is asked while there is no server', async (t) => {
  const { connection, asked } = silentServers(false);
  const puller = new Puller(connection, 's', 'c', null);
  puller.start(() => undefined);
  t.equal(await puller.pull(ROOM, NEVER), false);
  t.same(asked, []);
});

void t.test('a server without a cluster leads, and has all', (t) => {
  t.match(serversOf(undefined), [{ isLeader: true, isCurrent: true }]);
  t.end();
});
