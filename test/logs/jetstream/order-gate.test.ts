import t from 'tap';
import type { Test } from 'tap';
import { OrderGate } from '../../../lib/logs/jetstream/order-gate.js';
import type { StreamMessage } from '../../../lib/logs/jetstream/stream-message.js';
import { until } from '../../helpers/wait-for.js';

interface Bench {
  readonly gate: OrderGate;
  /** The numbers of messages that have passed. */
  readonly passed: number[];
  /** What the servers say is the oldest message; `null`: they do not answer. */
  oldestSeq: number | null;
  asked: number;
}

function bench(t: Test, oldestSeq: number | null): Bench {
  const stopping = new AbortController();
  t.teardown(() => stopping.abort());
  const passed: number[] = [];
  const ask = async (): Promise<number> => {
    made.asked++;
    return made.oldestSeq === null ? Promise.reject(new Error('timeout')) : Promise.resolve(made.oldestSeq);
  };
  const gate = new OrderGate(ask, ({ seq }) => passed.push(seq), stopping.signal);
  const made: Bench = { gate, passed, oldestSeq, asked: 0 };
  return made;
}

const message = (seq: number): StreamMessage => ({
  seq,
  events: 1,
  storedBytes: 1,
  lineBytes: 1,
  data: Buffer.from('x'),
  reply: `reply-${seq}`,
  deliveries: 1,
  storedAtMs: 0,
  fromSeq: seq,
});

void t.test('what follows on what has passed passes at once, and nobody is asked', async (t) => {
  const made = bench(t, 5);
  made.gate.add(message(5));
  await until(() => made.passed.length === 1, 'the first one passes');
  const { asked } = made;
  for (const seq of [6, 7]) made.gate.add(message(seq));
  t.same([made.passed, made.asked], [[5, 6, 7], asked]);
});

void t.test('a message waits while an older one is on the stream, with whomever it is', async (t) => {
  const made = bench(t, 3);
  for (const seq of [9, 8]) made.gate.add(message(seq));
  await until(() => made.asked > 1, 'the servers are asked again');
  t.same(made.passed, []);
  made.oldestSeq = 8;
  await until(() => made.passed.length > 0, 'it is confirmed');
  t.same(made.passed, [8, 9]);
});

void t.test('an older message that comes later passes first', async (t) => {
  const made = bench(t, 3);
  made.gate.add(message(5));
  await until(() => made.asked > 1, 'the servers are asked again');
  for (const seq of [4, 3]) made.gate.add(message(seq));
  await until(() => made.passed.length > 0, 'what is missing has come');
  t.same(made.passed, [3, 4, 5]);
});

void t.test('without an answer nothing passes, and a message that is handed out again does', async (t) => {
  const made = bench(t, 1);
  made.gate.add(message(1));
  await until(() => made.passed.length === 1, 'the first one passes');
  made.oldestSeq = null;
  made.gate.add(message(7));
  await until(() => made.asked > 2, 'the servers are asked again');
  made.gate.add(message(1));
  t.same(made.passed, [1, 1]);
});
