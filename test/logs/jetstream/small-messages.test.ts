import { headers } from '@nats-io/nats-core';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { Test } from 'tap';
import { HeldMessages } from '../../../lib/logs/jetstream/held-messages.js';
import { Puller } from '../../../lib/logs/jetstream/puller.js';
import type { LogConnection, ServersMessage } from '../../../lib/logs/jetstream/servers.js';
import { StreamBacklog } from '../../../lib/logs/jetstream/stream-backlog.js';
import { streamMessage } from '../../../lib/logs/jetstream/stream-message.js';
import type { StreamMessage } from '../../../lib/logs/jetstream/stream-message.js';
import { until } from '../../helpers/wait-for.js';

// The servers replicate and flush whatever they hand out and take off, each time: it must be a few times for a batch, and
// not once or twice for each of its messages.

const JOBS = 100;

interface Bench {
  readonly connection: LogConnection;
  /** How many messages each request asks for. */
  readonly pulls: number[];
  /** When each message was confirmed, in turns of the event loop. */
  readonly confirmedAt: number[];
  /** Hands out a message. */
  readonly hand: (seq: number) => void;
}

function bench(t: Test): Bench {
  const pulls: number[] = [];
  const confirmedAt: number[] = [];
  let take: (error: Error | null, message: ServersMessage) => void = () => undefined;
  let turns = 0;
  const turning = setInterval(() => turns++, 0);
  t.teardown(() => clearInterval(turning));
  const nc = {
    request: async () => {
      confirmedAt.push(turns);
      return Promise.resolve({ string: () => '' });
    },
    publish: (_subject: string, data: string, options?: { reply: string }) => {
      if (options !== undefined) pulls.push((JSON.parse(data) as { batch: number }).batch);
    },
    subscribe: (_subject: string, { callback }: { callback: typeof take }) => {
      take = callback;
      return { unsubscribe: () => undefined };
    },
    flush: async () => Promise.resolve(),
    isClosed: () => false,
  };
  const connection = {
    nc,
    isUp: true,
    up: async () => Promise.resolve(true),
    close: async () => Promise.resolve(),
  };
  return { connection, pulls, confirmedAt, hand: (seq) => take(null, handedOut(seq)) };
}

function handedOut(seq: number): ServersMessage {
  const reply = `$JS.ACK.s.c.1.${seq}.${seq}.${Date.now()}000000.0`;
  return { subject: 's.1', reply, data: Buffer.from('{}'), headers: headers() };
}

function message(seq: number): StreamMessage {
  const found = streamMessage(handedOut(seq));
  if (found === null) throw new Error('it is no message');
  return found;
}

function backlogOf(t: Test, { connection }: Bench, batchWaitMs: number): StreamBacklog {
  const backlog = new StreamBacklog({
    batchSize: 1000,
    batchBytes: 1_000_000,
    batchWaitMs,
    puller: new Puller(connection, 's', 'c', null),
    held: new HeldMessages(connection),
    messageBytesMost: 1000,
    sealed: () => undefined,
    oldestSeq: null,
  });
  t.teardown(async () => backlog.stop());
  backlog.start();
  return backlog;
}

void t.test('while a batch gathers, its messages gather at the servers', async (t) => {
  const made = bench(t);
  backlogOf(t, made, 600_000);
  t.same(made.pulls, [1]);
  made.hand(1);
  await sleep(100); // timers go off in the order of their times, however late they are
  t.same(made.pulls, [1], 'no further one is asked for yet');
  await until(() => made.pulls.length === 2, 'what has gathered is asked for');
});

void t.test('what has gathered is asked for at once, as long as there is more', async (t) => {
  const made = bench(t);
  backlogOf(t, made, 100);
  made.hand(1);
  await until(() => made.pulls.length === 2, 'what has gathered is asked for');
  const [, most = 0] = made.pulls;
  t.ok(most > 100, `${most} in one request`);
  for (let seq = 2; seq <= 1 + most; seq++) made.hand(seq);
  await turn();
  t.equal(made.pulls.length, 3, 'without a wait');
});

void t.test('what is confirmed at about the same time goes out together', async (t) => {
  const { connection, confirmedAt } = bench(t);
  const held = new HeldMessages(connection);
  const messages = [1, 2, 3].map(message);
  for (const each of messages) held.add(each);
  const confirming = Promise.all(messages.map(async (each) => held.confirm([each])));
  t.same(confirmedAt, [], 'none goes out by itself');
  await confirming;
  t.equal(confirmedAt.length, 3);
  t.equal(new Set(confirmedAt).size, 1);
  t.equal(held.size, 0);
  const next = held.confirm([message(4)]);
  for (let jobs = 0; jobs < JOBS; jobs++) await Promise.resolve();
  t.equal(confirmedAt.length, 3, 'the next one waits for others again');
  await next;
  t.equal(confirmedAt.length, 4);
  await held.handBack();
});
