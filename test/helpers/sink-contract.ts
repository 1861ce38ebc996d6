import t from 'tap';
import type { Test } from 'tap';
import { Batch } from '../../lib/seams/batch.js';
import { SinkError } from '../../lib/seams/sink-error.js';
import type { Sink } from '../../lib/seams/sink.js';
import { asRefusal, settle } from '../../lib/delivery/settlement.js';
import { batchOfLines } from './batches.js';

/** A case that a sink cannot have, and why. */
export interface Cannot {
  readonly cannot: string;
}

/** Tells the target what to do with attempts from now on, in the place of what it was told before. */
type Told<Args extends readonly unknown[] = []> = (...args: Args) => void | Promise<void>;

/** A sink, and its target in the hands of a test. All of it goes with the test, but for `sink.close`. */
export interface SinkBench {
  readonly sink: Sink;
  /** Every line that the target has kept, in its order. */
  readonly kept: (() => Promise<readonly string[]>) | Cannot;
  /** Whether a line that it keeps is the one it got, character by character. */
  readonly keepsText: { readonly can: true } | Cannot;
  /** The trace of each event that the target has kept, in their order. */
  readonly traces: (() => Promise<readonly (string | null)[]>) | Cannot;
  /** It takes everything: so it begins. */
  readonly confirm: Told;
  /** It takes nothing, and says so; later it may. */
  readonly fail: Told | Cannot;
  /** It will never take any event. */
  readonly refuseAll: Told | Cannot;
  /** It will never take the events with these ids, and takes all others. */
  readonly refuse: Told<[ids: readonly string[]]> | Cannot;
  /** It gets an attempt (of 256 KiB at least) and does not answer. */
  readonly hang: Told | Cannot;
  /** It gets an attempt and ends it without an answer. */
  readonly answerNothing: Told | Cannot;
  /** It is not there. */
  readonly vanish: Told | Cannot;
}

function isCannot(way: object): way is Cannot {
  return 'cannot' in way;
}

const never = new AbortController().signal;
let batches = 0;

const line = (id: string, data: unknown = null): string =>
  JSON.stringify({ id, type: 'contract', data, timestamp: 1_795_647_805_852 });

/** A batch of events, as the Delivery gives it. */
function batchOf(...lines: readonly string[]): Batch {
  return batchOfLines(lines, `batch_20250101_000000_${++batches}.jsonl`);
}

const traceOf = (n: number): string => `00-${String(n).repeat(32)}-${String(n).repeat(16)}-01`;

const idOf = (text: string): string => (JSON.parse(text) as { id: string }).id;

/**
 * What every sink does, whatever is behind it. The same tests for each; those that need what a target cannot do are
 * skipped with the reason that its bench gives.
 */
export function sinkContract(name: string, open: (t: Test) => Promise<SinkBench>): void {
  /** Claims something of a sink whose target can do all that is needed for it. */
  const claim = <Need extends keyof SinkBench>(
    title: string,
    needs: readonly Need[],
    check: (
      t: Test,
      bench: SinkBench & { readonly [K in Need]: Exclude<SinkBench[K], Cannot> },
    ) => Promise<void | 'closed'>,
  ): void => {
    void t.test(`${name}: ${title}`, async (t) => {
      const bench = await open(t);
      const missing = needs.map((need): object => bench[need]).find(isCannot);
      if (missing === undefined && (await check(t, bench as Parameters<typeof check>[1])) === 'closed')
        return;
      await bench.confirm();
      await bench.sink.close?.();
      if (missing !== undefined) t.plan(0, missing.cannot);
    });
  };
  /** An attempt must throw an error that says that another can help. It is given back. */
  const failure = async (t: Test, { sink }: SinkBench, batch: Batch, signal = never): Promise<unknown> => {
    const thrown: unknown = await sink.deliver(batch, signal).then(
      () => null,
      (error: unknown) => error,
    );
    t.ok(thrown instanceof Error, `it throws an error: ${String(thrown)}`);
    t.equal(asRefusal(thrown, batch), null, 'which refuses nothing for good');
    return thrown;
  };
  const keptOnce = async (
    t: Test,
    kept: () => Promise<readonly string[]>,
    lines: readonly string[],
  ): Promise<void> => {
    t.same((await kept()).toSorted(), lines.toSorted(), 'each line is there, once, as it was');
  };

  claim('confirms batches one after another, and keeps them in their order', ['kept'], async (t, bench) => {
    await bench.sink.deliver(batchOf(line('a'), line('b')), never);
    await bench.sink.deliver(batchOf(line('c')), never);
    await bench.sink.deliver(batchOf(line('d'), line('e')), never);
    t.same(await bench.kept(), [line('a'), line('b'), line('c'), line('d'), line('e')]);
  });

  claim("keeps the clients' own texts", ['kept', 'keepsText'], async (t, bench) => {
    const texts = [
      '{"id":"numbers","type":"t","data":[1.0,12345678901234567890,1e400,-0],"timestamp":1}',
      '{"id":"\\u00e9\\n\\"","type":"t","data":"\\u2028\\ud83d\\ude00 é😀\u2028","timestamp":1}',
      '{ "type" : "t", "id" : "order", "more": {"b":1,"a":{}}, "data" : null, "timestamp" : 1 }',
      line('long', 'x'.repeat(200_000)),
    ];
    await bench.sink.deliver(batchOf(...texts), never);
    t.same(await bench.kept(), texts);
  });

  claim('passes the trace of each event on', ['traces'], async (t, bench) => {
    const traces = [1, 1, null, 2].map((n) => (n === null ? null : traceOf(n)));
    const traced = (...some: readonly (string | null)[]): Batch => {
      const { name, key, events, bytes } = batchOf(...some.map((_trace, index) => line(`e${index}`)));
      const contexts = some.map((traceparent) =>
        traceparent === null ? null : { traceparent, isReplay: false },
      );
      return new Batch({ name, key, events, bytes, contexts });
    };
    await bench.sink.deliver(traced(...traces), never);
    await bench.sink.deliver(traced(traceOf(3), traceOf(3)), never);
    await bench.sink.deliver(batchOf(line('none')), never);
    await bench.sink.deliver(traced(traceOf(4), null), never, traceOf(5));
    t.same(await bench.traces(), [...traces, traceOf(3), traceOf(3), null, traceOf(4), null]);
  });

  claim('takes batches side by side', ['kept'], async (t, bench) => {
    const lines = Array.from({ length: 60 }, (_each, n) => line(`e${n}`, 'y'.repeat(n * 50)));
    const parts = Array.from({ length: 6 }, (_each, n) => lines.slice(n * 10, n * 10 + 10));
    await Promise.all(parts.map((part) => bench.sink.deliver(batchOf(...part), never)));
    await keptOnce(t, bench.kept, lines);
  });

  claim('takes a batch of thousands of events', ['kept'], async (t, bench) => {
    const lines = Array.from({ length: 5000 }, (_each, n) => line(`e${n}`, 'z'.repeat(300)));
    await bench.sink.deliver(batchOf(...lines), never);
    await keptOnce(t, bench.kept, lines);
  });

  claim('confirms a batch that comes again', ['kept'], async (t, bench) => {
    const batch = batchOf(line('a'), line('b'));
    await bench.sink.deliver(batch, never);
    await bench.sink.deliver(batch, never);
    t.same([...new Set(await bench.kept())], [line('a'), line('b')], 'once or twice, but nothing else');
  });

  claim('takes a part of a batch under the name of the part', ['kept'], async (t, bench) => {
    const part = batchOfLines([line('b')], 'batch_20250101_000000_1.jsonl#1-2');
    await bench.sink.deliver(part, never);
    await keptOnce(t, bench.kept, [line('b')]);
  });

  claim('confirms also where it keeps nothing', ['confirm'], async (t, bench) => {
    await t.resolves(bench.sink.deliver(batchOf(line('a')), never));
  });

  claim('throws where its target fails, and confirms once it is well again', ['fail'], async (t, bench) => {
    await bench.sink.deliver(batchOf(line('before')), never);
    await bench.fail();
    const batch = batchOf(line('a'), line('b'));
    await failure(t, bench, batch);
    await failure(t, bench, batch);
    await bench.confirm();
    await t.resolves(bench.sink.deliver(batch, never));
    if (!isCannot(bench.kept)) await keptOnce(t, bench.kept, [line('before'), line('a'), line('b')]);
  });

  claim('says that a batch is refused for good', ['refuseAll', 'kept'], async (t, bench) => {
    await bench.refuseAll();
    const batch = batchOf(line('a'), line('b'));
    const thrown: unknown = await bench.sink.deliver(batch, never).catch((error: unknown) => error);
    t.ok(thrown instanceof SinkError && asRefusal(thrown, batch) !== null, String(thrown));
    const refused = await settle(batch, (part) => offer(bench.sink, part));
    t.same(
      refused?.map(({ event }) => event.toString()),
      [line('a'), line('b')],
    );
    t.ok(
      refused?.every(({ reason }) => reason !== ''),
      'with a reason',
    );
    t.same(await bench.kept(), [], 'and keeps nothing of it');
  });

  claim('refuses single events for good, and keeps the others', ['refuse', 'kept'], async (t, bench) => {
    await bench.refuse(['e3', 'e7']);
    const lines = Array.from({ length: 9 }, (_each, n) => line(`e${n}`));
    const refused = await settle(batchOf(...lines), (part) => offer(bench.sink, part));
    t.same(
      refused?.map(({ index, event }) => [index, idOf(event.toString())]),
      [
        [3, 'e3'],
        [7, 'e7'],
      ],
    );
    const others = lines.filter((_each, n) => n !== 3 && n !== 7);
    t.same([...new Set(await bench.kept())].toSorted(), others.toSorted());
  });

  claim('ends an attempt that hangs when it is aborted', ['hang'], async (t, bench) => {
    await bench.hang();
    const stopping = new AbortController();
    const lines = Array.from({ length: 300 }, (_each, n) => line(`e${n}`, 'x'.repeat(1000)));
    let settled = false;
    const attempt = failure(t, bench, batchOf(...lines), stopping.signal).finally(() => {
      settled = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 50)); // it may be anywhere by then
    t.notOk(settled, 'without, it goes on');
    const reason = new Error('a test stops');
    stopping.abort(reason);
    const thrown = await attempt;
    t.ok(thrown === reason || (thrown as Error).cause === reason, `for no other reason: ${String(thrown)}`);
  });

  claim('begins no attempt that is aborted already', ['confirm'], async (t, bench) => {
    await failure(t, bench, batchOf(line('a')), AbortSignal.abort(new Error('a test stops')));
    if (!isCannot(bench.kept)) t.same(await bench.kept(), []);
  });

  claim('does not take silence for a confirmation', ['answerNothing'], async (t, bench) => {
    await bench.answerNothing();
    const batch = batchOf(line('a'));
    await failure(t, bench, batch);
    await bench.confirm();
    await t.resolves(bench.sink.deliver(batch, never));
  });

  claim('throws while nobody is there, and finds who comes back', ['vanish'], async (t, bench) => {
    await bench.sink.deliver(batchOf(line('before')), never);
    await bench.vanish();
    const batch = batchOf(line('a'));
    await failure(t, bench, batch);
    await failure(t, bench, batch);
    await bench.confirm();
    await t.resolves(bench.sink.deliver(batch, never));
    if (!isCannot(bench.kept)) t.same((await bench.kept()).at(-1), line('a'));
  });

  claim('has kept all that it confirmed when it is closed', ['kept'], async (t, bench) => {
    const lines = Array.from({ length: 50 }, (_each, n) => line(`e${n}`));
    await Promise.all(lines.map((each) => bench.sink.deliver(batchOf(each), never)));
    await bench.sink.close?.();
    await keptOnce(t, bench.kept, lines);
    return 'closed';
  });
}

/** One offer as the Delivery makes it, for a target that does not fail otherwise. */
async function offer(sink: Sink, part: Batch): Promise<{ refusal: SinkError | null; attempts: number }> {
  try {
    await sink.deliver(part, never);
    return { refusal: null, attempts: 1 };
  } catch (error) {
    const refusal = asRefusal(error, part);
    if (refusal === null) throw error;
    return { refusal, attempts: 1 };
  }
}
