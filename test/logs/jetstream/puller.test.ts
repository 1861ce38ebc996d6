import { headers } from '@nats-io/nats-core';
import t from 'tap';
import { Puller } from '../../../lib/logs/jetstream/puller.js';
import type { PullEnd } from '../../../lib/logs/jetstream/puller.js';
import type { ServersMessage } from '../../../lib/logs/jetstream/servers.js';
import { serversOf } from '../../../lib/logs/jetstream/stream-watch.js';

const NEVER = new AbortController().signal;
const ROOM = { messages: 2, bytes: 1000 };

/** What a request for messages asks for. */
interface Asked {
  readonly reply: string;
  readonly batch: number;
  readonly no_wait?: boolean;
}

/** Servers of which a test says every word. */
function silentServers(isUp: boolean) {
  const asked: Asked[] = [];
  let take: (error: Error | null, message: ServersMessage) => void = () => undefined;
  const connection = {
    nc: {
      request: async () => Promise.reject(new Error('nobody answers')),
      publish: (_subject: string, data: string, options?: { reply: string }) =>
        void asked.push({ ...(JSON.parse(data) as Asked), reply: options?.reply ?? '' }),
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
  t.equal(await first, 'all');
  let isOver = false;
  const second = puller.pull(ROOM, NEVER).finally(() => (isOver = true));
  say(asked[0]?.reply ?? '', 409);
  await new Promise(setImmediate);
  t.equal(isOver, false);
  hand(2);
  say(asked[1]?.reply ?? '', 404);
  t.equal(await second, 'all');
  t.same(seqs, [1, 2]);
  t.equal(new Set(asked.map(({ reply }) => reply)).size, 2, 'each has a subject of its own');
});

void t.test('a request is over with what is there, once one has brought something', async (t) => {
  const { connection, asked, say, hand } = silentServers(true);
  const puller = new Puller(connection, 's', 'c', null);
  puller.start(() => undefined);
  const pull = async (answer: () => void): Promise<PullEnd> => {
    const pulled = puller.pull(ROOM, NEVER);
    answer();
    return pulled;
  };
  const nothing = (): void => say(asked.at(-1)?.reply ?? '', 408);
  t.equal(await pull(nothing), 'all');
  t.equal(await pull(() => hand(1)), 'all', 'more comes while it is not asked');
  t.equal(await pull(() => [2, 3].forEach(hand)), 'more');
  t.equal(await pull(nothing), 'all', 'others wait for more than there is');
  t.equal(await pull(() => hand(4)), 'all');
  t.same(
    asked.map(({ batch, no_wait = false }) => [batch, no_wait]),
    [
      [1, false],
      [1, false],
      [2, true],
      [2, true],
      [1, false],
    ],
  );
});

void t.test(
  'a word that there is no consumer is no answer, so that it is not asked again at once',
  async (t) => {
    for (const [status, end] of [
      [503, 'none'],
      [409, 'none'],
      [408, 'all'],
    ] as const) {
      const { connection, asked, say } = silentServers(true);
      const puller = new Puller(connection, 's', 'c', null);
      puller.start(() => undefined);
      const pull = puller.pull(ROOM, NEVER);
      say(asked[0]?.reply ?? '', status);
      t.equal(await pull, end, String(status));
    }
  },
);

void t.test('nothing is asked while there is no server', async (t) => {
  const { connection, asked } = silentServers(false);
  const puller = new Puller(connection, 's', 'c', null);
  puller.start(() => undefined);
  t.equal(await puller.pull(ROOM, NEVER), 'none');
  t.same(asked, []);
});

void t.test('a server without a cluster leads, and has all', (t) => {
  t.match(serversOf(undefined), [{ isLeader: true, isCurrent: true }]);
  t.end();
});
