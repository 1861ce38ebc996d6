import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import { Reporter } from '../../lib/base/reporter.js';
import { PauseGate } from '../../lib/delivery/pause-gate.js';
import { CircuitBreaker } from '../../lib/delivery/circuit-breaker.js';
import { Stopping } from '../../lib/delivery/retries.js';
import { SinkAttempts } from '../../lib/delivery/sink-attempts.js';
import { batchOfLines } from '../helpers/batches.js';

const WAIT_MS = 300;

void t.test('how long the sink had a batch does not count the wait until it was let through', async (t) => {
  let nowMs = 0;
  t.intercept(performance, 'now', { value: () => nowMs });
  const reporter = new Reporter();
  const breaker = new CircuitBreaker(reporter, new AbortController().signal, () => 0.001, new PauseGate());
  const sink = {
    async deliver() {
      nowMs += 7;
      return Promise.resolve();
    },
  };
  const attempts = new SinkAttempts({ sink, reporter, breaker });
  for (let n = 0; n < 5; n++) breaker.failed(new Error('down'), await breaker.admit());
  t.equal(breaker.state, 'open');
  const ending = attempts.run(batchOfLines(['{}']), false);
  nowMs += WAIT_MS;
  const { tookMs } = await ending;
  t.equal(tookMs, 7);
  attempts.end();
});

void t.test('an attempt that waits while the server stops is not made', async (t) => {
  const reporter = new Reporter();
  const stopping = new AbortController();
  const breaker = new CircuitBreaker(reporter, stopping.signal, () => 1, new PauseGate());
  for (let n = 0; n < 5; n++) breaker.failed(new Error('down'), await breaker.admit());
  const waiting = Promise.resolve(breaker.admit());
  stopping.abort();
  await t.rejects(waiting, Stopping);
  const late = Promise.resolve(breaker.admit()).catch((error: unknown) => error);
  const some = async (): Promise<string> => {
    for (let turns = 0; turns < 20; turns++) await turn();
    return 'it waits';
  };
  t.type(await Promise.race([late, some()]), Stopping, 'nor does one wait that comes after the stop');
});
