import { errors } from '@nats-io/nats-core';
import t from 'tap';
import type { Test } from 'tap';
import { Publisher } from '../../../lib/logs/jetstream/publisher.js';
import type { LogConnection } from '../../../lib/logs/jetstream/servers.js';

const ACK_TIMEOUT_MS = 10_000;
/** Longer than the servers know an id. */
const SUSPENDED_MS = 130_000;

/** Clocks that a suspension moves: that of the process goes on if it was stopped, and stands still with its machine. */
function clocks(t: Test): { process: number; wall: number } {
  const ahead = { process: 0, wall: 0 };
  const [now, wallNow] = [performance.now.bind(performance), Date.now];
  t.intercept(performance, 'now', { value: () => now() + ahead.process });
  t.intercept(Date, 'now', { value: () => wallNow() + ahead.wall });
  return ahead;
}

/** Servers whose answer to the first message is lost, and what they got. */
function forgetful(beforeSecond: () => void) {
  const got: string[] = [];
  let waits = 0;
  const connection: LogConnection = {
    nc: {
      request: async (subject) => {
        if (got.push(subject) === 1) throw new errors.TimeoutError();
        return Promise.resolve({ string: () => '{"seq":1,"duplicate":true}' });
      },
      publish: () => undefined,
      subscribe: () => ({ unsubscribe: () => undefined }),
      flush: async () => Promise.resolve(),
      isClosed: () => false,
    },
    isUp: true,
    up: async () => {
      if (++waits === 2) beforeSecond();
      return Promise.resolve(true);
    },
    close: async () => Promise.resolve(),
  };
  return { got, publisher: new Publisher(connection, ACK_TIMEOUT_MS) };
}

for (const [what, moved] of [
  ['an instance that was stopped', { process: SUSPENDED_MS, wall: SUSPENDED_MS }],
  ['a machine that slept', { process: 0, wall: SUSPENDED_MS }],
] as const) {
  void t.test(`${what} until the servers had forgotten a message does not store it again`, async (t) => {
    const ahead = clocks(t);
    const { got, publisher } = forgetful(() => Object.assign(ahead, moved));
    await t.rejects(publisher.store('s.1', Buffer.from('{}'), 'id'), { code: 'IN_DOUBT' });
    t.equal(got.length, 1);
  });
}

void t.test('a step of the clock on the wall ends no doubt', async (t) => {
  const ahead = clocks(t);
  const { got, publisher } = forgetful(() => (ahead.wall = ACK_TIMEOUT_MS));
  t.same(await publisher.store('s.1', Buffer.from('{}'), 'id'), { seq: 1, isDuplicate: true });
  t.equal(got.length, 2);
});
