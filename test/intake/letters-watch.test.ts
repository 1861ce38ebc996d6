import t from 'tap';
import type { Test } from 'tap';
import { Accounts } from '../../lib/intake/accounts.js';
import { LettersWatch } from '../../lib/intake/letters-watch.js';
import { UNLIMITED } from '../../lib/seams/client.js';

/** Dead letters of two clients, and the timers that look at them. */
function place(t: Test) {
  const timers: (() => void)[] = [];
  t.intercept(globalThis, 'setTimeout', {
    value: (run: () => void) => {
      timers.push(run);
      return { unref: () => ({}) };
    },
  });
  const accounts = new Accounts();
  const [greedy, modest] = ['192.0.2.1', '192.0.2.2'].map((id) => accounts.of({ id, limits: UNLIMITED }));
  const folder = { bytes: 0, error: null as Error | null, looks: 0 };
  const look = async (): Promise<number> => {
    folder.looks++;
    return folder.error === null ? Promise.resolve(folder.bytes) : Promise.reject(folder.error);
  };
  const watch = new LettersWatch({ look }, accounts);
  const next = async (): Promise<void> => {
    timers.shift()?.();
    await new Promise(setImmediate);
  };
  return { watch, folder, greedy, modest, next, timers };
}

void t.test('letters that someone takes away are taken off all accounts, in proportion', async (t) => {
  const { watch, folder, greedy, modest, next, timers } = place(t);
  Object.assign(greedy ?? {}, { letterBytes: 900 });
  Object.assign(modest ?? {}, { letterBytes: 101 });
  watch.added(1001);
  watch.added(0);
  t.equal(timers.length, 1, 'one look for all');
  folder.bytes = 5000;
  await next();
  t.equal(watch.bytes, 5000, 'with those of earlier runs');
  t.match([greedy, modest], [{ letterBytes: 900 }, { letterBytes: 101 }]);
  t.equal(timers.length, 0, 'nobody looks without a reason');
  watch.lookLater();
  folder.bytes = 2500;
  await next();
  t.equal(watch.bytes, 2500);
  t.match([greedy, modest], [{ letterBytes: 450 }, { letterBytes: 50 }]);
});

void t.test('a look that fails changes nothing, and after the end there is none', async (t) => {
  const { watch, folder, greedy, next, timers } = place(t);
  Object.assign(greedy ?? {}, { letterBytes: 900 });
  watch.added(900);
  folder.error = new Error('EIO');
  await next();
  t.match([watch.bytes, greedy?.letterBytes, folder.looks], [900, 900, 1]);
  watch.close();
  watch.lookLater();
  t.equal(timers.length, 0);
});
