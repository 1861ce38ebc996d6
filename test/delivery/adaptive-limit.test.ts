import t from 'tap';
import { SinkError } from '../../lib/seams/sink-error.js';
import { AdaptiveLimit } from '../../lib/delivery/adaptive-limit.js';
import { Random } from '../simulation/random.js';

type Ended = (error: Error | null) => void;

/** A sink with places for so many attempts, each of which takes so long, give or take a half. */
interface HiddenSink {
  places: number;
  takesMs: number;
  /** What it does with more: makes them wait, or answers with this. */
  readonly busy: SinkError | null;
}

/** A fixed limit, or one that hears of each attempt. */
type Limit = { current: number } & Partial<AdaptiveLimit>;

/** The sink and the limit on a clock of their own: what happens next is the earliest of what is to come. */
class Trial {
  nowMs = 0;
  done = 0;
  refused = 0;
  readonly #limit: Limit;
  readonly #sink: HiddenSink;
  readonly #random = new Random(1);
  readonly #coming: { readonly atMs: number; readonly run: () => void }[] = [];
  readonly #queue: Ended[] = [];
  #atSink = 0;
  #running = 0;
  #inPlace = 0;
  #openAtMs = 0;

  constructor(sink: HiddenSink, limit: Limit) {
    this.#sink = sink;
    this.#limit = limit;
  }

  runUntil(endMs: number): void {
    this.#fill();
    while (this.nowMs < endMs) {
      this.#coming.sort((a, b) => a.atMs - b.atMs);
      const next = this.#coming.shift();
      if (next === undefined) throw new Error('nothing happens any more');
      this.nowMs = next.atMs;
      next.run();
    }
  }

  #after(ms: number, run: () => void): void {
    this.#coming.push({ atMs: this.nowMs + ms, run });
  }

  #fill(): void {
    while (this.#inPlace < this.#limit.current) {
      this.#inPlace++;
      this.#attempt(1);
    }
  }

  #attempt(attempts: number): void {
    if (this.#openAtMs > this.nowMs) {
      this.#after(this.#openAtMs - this.nowMs, () => {
        this.#attempt(attempts);
      });
      return;
    }
    const begun = this.#limit.began?.(++this.#running);
    this.#serve((error) => {
      this.#running--;
      if (begun !== undefined) this.#limit.ended?.(begun, error);
      if (error === null) {
        this.done++;
        this.#inPlace--;
        this.#fill();
        return;
      }
      this.refused++;
      const askedMs = (error as SinkError).retryAfterMs;
      if (askedMs !== undefined) this.#openAtMs = this.nowMs + askedMs;
      this.#after(askedMs ?? 100 * 2 ** attempts * this.#random.next(), () => {
        this.#attempt(attempts + 1);
      });
    });
  }

  #serve(ended: Ended): void {
    const { busy, places, takesMs } = this.#sink;
    if (this.#atSink >= places) {
      if (busy === null) this.#queue.push(ended);
      else {
        this.#after(1, () => {
          ended(busy);
        });
      }
      return;
    }
    this.#atSink++;
    this.#after(takesMs * (0.5 + this.#random.next()), () => {
      this.#atSink--;
      const next = this.#queue.shift();
      if (next !== undefined) this.#serve(next);
      ended(null);
    });
  }
}

/** Attempts a second that the sink answers, from 10 s on. */
function rate(sink: HiddenSink, limit: Limit): number {
  const trial = new Trial(sink, limit);
  performance.now = () => trial.nowMs;
  trial.runUntil(10_000);
  const before = trial.done;
  trial.runUntil(60_000);
  return (trial.done - before) / 50;
}

const realNow = performance.now.bind(performance);
t.teardown(() => {
  performance.now = realNow;
});

const BUSY = {
  'makes others wait': null,
  'answers 503 to others': new SinkError('busy', { status: 503 }),
  'answers 429 with Retry-After to others': new SinkError('busy', { status: 429, retryAfterMs: 1000 }),
};

for (const [what, busy] of Object.entries(BUSY)) {
  for (const places of [1, 2, 5, 8, 32]) {
    void t.test(`finds the ${places} places of a sink that ${what}, within 10 %`, (t) => {
      const sink: HiddenSink = { places, takesMs: 20, busy };
      const best = Math.max(...[places, places + 1, places * 2].map((current) => rate(sink, { current })));
      const found = rate(sink, new AdaptiveLimit(64));
      t.ok(found >= 0.9 * best, `${found} of ${best} a second`);
      t.end();
    });
  }
}

void t.test('stays between 1 and its bound', (t) => {
  const limit = new AdaptiveLimit(4);
  const trial = new Trial({ places: 100, takesMs: 10, busy: null }, limit);
  performance.now = () => trial.nowMs;
  trial.runUntil(5000);
  t.equal(limit.current, 4);
  const full = new AdaptiveLimit(4);
  const refusing = new Trial({ places: 0, takesMs: 10, busy: BUSY['answers 503 to others'] }, full);
  performance.now = () => refusing.nowMs;
  refusing.runUntil(5000);
  t.equal(full.current, 1);
  t.end();
});

void t.test('follows a sink that gets more places, and one that loses them', (t) => {
  const sink: HiddenSink = { places: 4, takesMs: 20, busy: null };
  const limit = new AdaptiveLimit(64);
  const trial = new Trial(sink, limit);
  performance.now = () => trial.nowMs;
  trial.runUntil(10_000);
  t.ok(limit.current <= 8, `${limit.current} of 4`);
  sink.places = 32;
  trial.runUntil(30_000);
  t.ok(limit.current >= 30, `${limit.current} of 32`);
  sink.places = 4;
  trial.runUntil(60_000);
  t.ok(limit.current <= 8, `${limit.current} of 4 again`);
  t.end();
});

void t.test('a sink that was busy, slow or measured when it was slow is found anew', (t) => {
  const sink: HiddenSink = { places: 5, takesMs: 500, busy: null };
  const limit = new AdaptiveLimit(64);
  const trial = new Trial(sink, limit);
  performance.now = () => trial.nowMs;
  trial.runUntil(60_000);
  sink.takesMs = 10;
  trial.runUntil(300_000);
  t.ok(limit.current <= 10, `${limit.current} of 5 once it is fast`);
  sink.places = 20;
  sink.takesMs = 20_000; // everything takes so long for a while
  trial.runUntil(400_000);
  sink.takesMs = 20;
  trial.runUntil(800_000);
  t.ok(limit.current >= 18, `${limit.current} of 20 after it was slow`);
  t.end();
});

void t.test(
  'a probe that is answered with 503 is not too many, and no wait is longer than the quarter of an hour',
  (t) => {
    let nowMs = 0;
    performance.now = () => nowMs;
    const limit = new AdaptiveLimit(64);
    const answer = (running: number, error: Error | null): void => {
      const begun = limit.began(running);
      nowMs += 10;
      limit.ended(begun, error);
    };
    const busy = (retryAfterMs: number): SinkError => new SinkError('busy', { status: 503, retryAfterMs });
    for (let n = 0; n < 3; n++) answer(1, busy(120_000));
    for (let n = 0; n < 200; n++) answer(limit.current, null);
    t.ok(limit.current >= 16, `${limit.current}`);
    for (const ms of [NaN, Infinity, 10_000_000]) {
      answer(limit.current, busy(ms));
      nowMs += 900_001;
      const before = limit.current;
      for (let n = 0; n < 200; n++) answer(limit.current, null);
      t.ok(limit.current > before, `goes on after ${ms}`);
    }
    t.end();
  },
);

void t.test('does not grow where fewer run than may, nor shrink where the sink is out of reach', (t) => {
  let nowMs = 0;
  performance.now = () => nowMs;
  const limit = new AdaptiveLimit(64);
  const answer = (running: number, error: Error | null): void => {
    const begun = limit.began(running);
    nowMs += 10;
    limit.ended(begun, error);
  };
  for (let n = 0; n < 20; n++) answer(1, null);
  t.equal(limit.current, 2);
  for (let n = 0; n < 200; n++) answer(1, null);
  t.equal(limit.current, 2, 'one at a time is no reason for more');
  for (let n = 0; n < 200; n++) answer(2, new Error('connect ECONNREFUSED'));
  for (let n = 0; n < 200; n++) answer(2, new SinkError('broken', { status: 500 }));
  t.equal(limit.current, 2);
  answer(2, new SinkError('busy', { status: 503 }));
  t.equal(limit.current, 1);
  t.end();
});
