import t from 'tap';
import { StoredBatch } from '../lib/append-log/batch.js';
import type { SealedBatch } from '../lib/append-log/batch.js';
import { LogLines } from '../lib/log-lines.js';
import { FileCourse } from '../lib/stages/file-course.js';
import { RestingBatches } from '../lib/stages/resting-batches.js';
import { batchOfLines } from './helpers/batches.js';
import { until } from './helpers/running-forebay.js';

void t.test('one that waits for another to have a place goes on if that one cannot be read', async (t) => {
  const [resting, unreadable] = [sealed(1), sealed(2)];
  const delivered: string[] = [];
  let othersWait = false;
  const stopping = new AbortController();
  t.teardown(() => stopping.abort());
  const batches = new RestingBatches({
    lines: new LogLines(),
    stopping: stopping.signal,
    random: () => 0,
    deliver: ({ name }) => delivered.push(name),
    othersWait: () => othersWait,
  });
  const rest = (): void => {
    batches.add(resting, new FileCourse(new StoredBatch(batchOfLines(['{}'], resting.name), 3)), false);
  };
  rest();
  batches.ended(resting, false);
  await until(() => delivered.length === 1, 'it has its turn');
  othersWait = true;
  batches.take({ name: resting.name, events: 1 });
  rest();
  batches.ended(resting, false);
  // the other has had its place, and leaves it; none waits then
  othersWait = false;
  batches.leaves(unreadable);
  await until(() => delivered.length === 2, 'it has its turn again');
});

function sealed(n: number): SealedBatch {
  const name = `batch_20250101_000000_${n}.jsonl`;
  return { name, acknowledgedBytes: 3, events: 1, fileBytes: 3, bornMs: 0, leftover: false, past: 'read' };
}
