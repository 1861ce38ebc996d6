import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { StoredBatch } from '../../lib/seams/batch.js';
import type { PendingBatch } from '../../lib/seams/batch.js';
import { Reporter } from '../../lib/base/reporter.js';
import { FileCourse } from '../../lib/delivery/file-course.js';
import { RestingBatches } from '../../lib/delivery/resting-batches.js';
import { batchOfLines } from '../helpers/batches.js';
import { until } from '../helpers/running-forebay.js';

void t.test('one that waits for another to have a place goes on if that one cannot be read', async (t) => {
  const [resting, unreadable] = [sealed(1), sealed(2)];
  const delivered: string[] = [];
  let othersWait = false;
  const stopping = new AbortController();
  t.teardown(() => stopping.abort());
  const batches = new RestingBatches({
    reporter: new Reporter(),
    stopping: stopping.signal,
    random: () => 0,
    deliver: ({ name }) => delivered.push(name),
    othersWait: () => othersWait,
  });
  const rest = (): void => {
    const course = new FileCourse(new StoredBatch(batchOfLines(['{}'], resting.name), 3));
    course.begin(0, { events: 1 }).takesOthers = true; // it is due again at once
    batches.add(resting, course, false);
    batches.ended(resting, false);
  };
  rest();
  for (let turns = 1; turns <= 3; turns++) {
    await until(() => delivered.length === turns, 'it has its turn');
    batches.take({ name: resting.name, events: 1 });
    othersWait = turns === 3;
    rest();
  }
  await sleep(100);
  t.equal(delivered.length, 3, 'after three in vain others go first');
  // the other has had its place, and leaves it; none waits then
  othersWait = false;
  batches.leaves(unreadable);
  await until(() => delivered.length === 4, 'it has its turn again');
});

void t.test('no event that waits apart waits for a batch that cannot be read', async (t) => {
  const unreadable = sealed(1);
  const delivered: string[] = [];
  const stopping = new AbortController();
  t.teardown(() => stopping.abort());
  const batches = new RestingBatches({
    reporter: new Reporter(),
    stopping: stopping.signal,
    random: () => 0,
    deliver: ({ name }) => delivered.push(name),
    othersWait: () => false,
  });
  batches.add(unreadable, new FileCourse(new StoredBatch(batchOfLines(['{}'], unreadable.name), 3)), false);
  batches.ended(unreadable, false);
  t.equal(batches.isAnyOpen, true, 'it can find out whether the sink is well');
  await until(() => delivered.length === 1, 'it has its turn');
  batches.leaves(unreadable);
  t.equal(batches.isAnyOpen, false, 'nobody knows when');
  batches.take({ name: unreadable.name, events: 1 });
  batches.add(unreadable, new FileCourse(new StoredBatch(batchOfLines(['{}'], unreadable.name), 3)), false);
  t.equal(batches.isAnyOpen, true, 'it can be read again');
});

function sealed(n: number): PendingBatch {
  const name = `batch_20250101_000000_${n}.jsonl`;
  return { name, events: 1, logBytes: 3, isAcknowledged: true, bornMs: 0, leftover: false, past: 'read' };
}
