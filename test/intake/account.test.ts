import t from 'tap';
import { Account } from '../../lib/intake/account.js';

const NO_LIMITS = { eventsPerSecond: null, bytesPerSecond: null };

/** The clock of this file. */
let nowMs = 5000;
t.intercept(performance, 'now', { value: () => nowMs });

void t.test('a client may send a second of its rate at once, and then as fast as the rate', (t) => {
  const account = new Account();
  const limits = { eventsPerSecond: 10, bytesPerSecond: null };
  for (let event = 0; event < 10; event++) {
    t.equal(account.rateWaitMs(limits, 1, 1000), 0, `event ${event} of a burst`);
    account.queue(1, 1000, limits);
  }
  t.equal(account.rateWaitMs(limits, 1, 1000), 100);
  nowMs += 100;
  t.equal(account.rateWaitMs(limits, 1, 1000), 0);
  t.equal(account.rateWaitMs(limits, 5, 1000), 400);
  nowMs += 400;
  account.queue(5, 1000, limits);
  t.equal(account.rateWaitMs(limits, 1, 1000), 100);
  nowMs += 60_000;
  t.equal(account.rateWaitMs(limits, 11, 1000), 0, 'nobody saves up more than a second');
  account.queue(11, 1000, limits);
  t.equal(account.rateWaitMs(limits, 1, 1000), 200);
  t.end();
});

void t.test(
  'a request that is larger than a burst passes when a burst would, and is paid for afterwards',
  (t) => {
    const account = new Account();
    const limits = { eventsPerSecond: null, bytesPerSecond: 1000 };
    t.equal(account.rateWaitMs(limits, 1, 30_000), 0);
    account.queue(1, 30_000, limits);
    t.equal(account.rateWaitMs(limits, 1, 1), 29_001);
    t.equal(account.rateWaitMs(limits, 1, 30_000), 30_000, 'the next one waits for a whole burst');
    nowMs += 30_000;
    t.equal(account.rateWaitMs(limits, 1, 30_000), 0);
    t.end();
  },
);

void t.test('at whatever fraction of a millisecond the clock is, a burst is whole', (t) => {
  const limits = { eventsPerSecond: 10, bytesPerSecond: null };
  const refused = Array.from({ length: 1000 }, (_each, n) => {
    nowMs = 5000 + n * 17.123;
    const account = new Account();
    let waits = 0;
    for (let event = 0; event < 10; event++) {
      waits += account.rateWaitMs(limits, 1, 1000);
      account.queue(1, 1000, limits);
    }
    return waits;
  }).filter((waits) => waits > 0);
  t.same(refused, []);
  t.end();
});

void t.test('the slower of two rates decides', (t) => {
  const account = new Account();
  const limits = { eventsPerSecond: 10, bytesPerSecond: 1000 };
  account.queue(20, 500, limits);
  t.equal(account.rateWaitMs(limits, 1, 1), 1100);
  account.queue(1, 5000, limits);
  t.equal(account.rateWaitMs(limits, 1, 1), 4501);
  t.equal(account.rateWaitMs(NO_LIMITS, 1000, 1e9), 0);
  t.end();
});

void t.test('what was not taken does not count towards the rate', (t) => {
  const account = new Account();
  const limits = { eventsPerSecond: 10, bytesPerSecond: 1000 };
  account.queue(10, 1000, limits);
  t.equal(account.rateWaitMs(limits, 1, 1), 100);
  account.answer(10, 1000, false, limits);
  t.equal(account.rateWaitMs(limits, 10, 1000), 0);
  t.match(account, { queueEvents: 0, queueBytes: 0 });
  t.end();
});

/** A batch is off the log. */
function settle(account: Account, events: number, bytes: number, refused: number): void {
  account.see(events, refused);
  account.settle(events, bytes);
}

void t.test('an account is idle when nothing is on it and its rate is whole', (t) => {
  const account = new Account();
  const limits = { eventsPerSecond: 10, bytesPerSecond: null };
  t.ok(account.isIdle(nowMs));
  account.queue(1, 100, limits);
  t.notOk(account.isIdle(nowMs));
  account.append(1, 0);
  account.answer(1, 100, true, limits);
  t.notOk(account.isIdle(nowMs + 1000), 'an event without bytes of its own is on it');
  settle(account, 1, 0, 0);
  t.notOk(account.isIdle(nowMs), 'it may not send a burst yet');
  t.ok(account.isIdle(nowMs + 100));
  t.end();
});

void t.test('whether the sink refuses most of it follows what was settled lately', (t) => {
  const account = new Account();
  account.append(10_000, 1e6);
  settle(account, 10, 1000, 4);
  t.notOk(account.isMostlyRefused);
  settle(account, 10, 1000, 8);
  t.ok(account.isMostlyRefused);
  t.equal(account.likelyLetterBytes, 0, 'a few prove nothing for those that wait');
  settle(account, 500, 1000, 500);
  t.ok(account.likelyLetterBytes > 1e6);
  for (let batch = 0; batch < 40; batch++) settle(account, 100, 1000, 0);
  t.notOk(account.isMostlyRefused);
  t.end();
});

void t.test('its pace is its own', (t) => {
  const account = new Account();
  account.append(100, 100_000);
  t.equal(account.drainMs(1), Infinity);
  for (let batch = 0; batch < 10; batch++) {
    nowMs += 1000;
    settle(account, 1, 1000, 0);
  }
  const ms = account.drainMs(10_000);
  t.ok(ms > 8000 && ms < 12_000, `${ms} ms`);
  t.end();
});
