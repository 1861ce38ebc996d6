import t from 'tap';
import { turns } from '../../lib/door/turns.js';

/** Keeps the thread, as reading what a client has sent does. */
function work(ms: number): void {
  for (const endMs = performance.now() + ms; performance.now() < endMs;);
}

/** How many turns the event loop takes until something has happened. */
async function turnsUntil(isDone: () => boolean): Promise<number> {
  let count = 0;
  while (!isDone()) {
    await new Promise((resolve) => setImmediate(resolve));
    count++;
  }
  return count;
}

void t.test('what waits comes in its order, once', async (t) => {
  const done: string[] = [];
  const first = (): void => void done.push('first');
  turns.wait(first);
  turns.wait(() => done.push('second'));
  turns.wait(first);
  t.ok(turns.isCrowded, 'newcomers are to wait behind them');
  t.same(done, [], 'not at once');
  await turnsUntil(() => !turns.isCrowded);
  t.same(done, ['first', 'second']);
  turns.wait(first);
  await turnsUntil(() => !turns.isCrowded);
  t.same(done, ['first', 'second', 'first'], 'again, if it waits again');
});

void t.test('much work is spread over turns: one of them stays short', async (t) => {
  let done = 0;
  for (let count = 0; count < 20; count++)
    turns.wait(() => {
      work(2);
      done++;
    });
  const count = await turnsUntil(() => done === 20);
  t.ok(count >= 8, `20 works of 2 ms took ${count} turns of about 3 ms`);
});

void t.test('after a connection was accepted the next turn is shorter: more may wait', async (t) => {
  await turnsUntil(() => !turns.isCrowded);
  let done = 0;
  for (let count = 0; count < 20; count++)
    turns.wait(() => {
      turns.accept();
      work(0.6);
      done++;
    });
  const count = await turnsUntil(() => done === 20);
  t.ok(count >= 8, `20 works of 0.6 ms took ${count} turns of about 1 ms`);
});
