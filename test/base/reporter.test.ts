import t from 'tap';
import { Reporter } from '../../lib/base/reporter.js';

void t.test('a file of several batches that is deleted is summed up as one file', (t) => {
  const lines: string[] = [];
  const write = (_fields: object, text: string): void => {
    lines.push(text);
  };
  const reporter = new Reporter({ debug: write, info: write, warn: write, error: write });
  for (let file = 0; file < 22; file++) {
    reporter.batch({ what: 'sealed', batch: `batch_${file}`, events: 300, batches: 3 });
    reporter.batch({
      what: 'deleted',
      batch: `batch_${file}`,
      events: 300,
      leftover: false,
      removal: 'deleted',
    });
  }
  reporter.sumUp();
  t.same(lines.slice(40), [
    'Wrote batch to: 6 more batches in a second (600 events)',
    'Deleted batch file: 2 more files in a second (600 events)',
  ]);
  t.end();
});

void t.test('of a stream there is no file to delete', (t) => {
  const lines: string[] = [];
  const write = (_fields: object, text: string): void => void lines.push(text);
  const reporter = new Reporter({ debug: write, info: write, warn: write, error: write });
  for (let n = 1; n <= 22; n++)
    for (const leftover of [false, true])
      reporter.batch({ what: 'deleted', batch: `events_${n}`, events: 10, leftover, removal: 'confirmed' });
  reporter.sumUp();
  t.same(lines.slice(0, 2), ['Confirmed batch: events_1', 'Successfully replayed and confirmed: events_1']);
  t.same(lines.slice(40), [
    'Confirmed batch: 2 more batches in a second (20 events)',
    'Successfully replayed and confirmed: 2 more batches in a second (20 events)',
  ]);
  t.end();
});

void t.test(
  'a batch that stays in the log is no file in the line about it: that is for the error to say',
  (t) => {
    const lines: string[] = [];
    const write = (_fields: object, text: string): void => void lines.push(text);
    const reporter = new Reporter({ debug: write, info: write, warn: write, error: write });
    const error = new Error('The NATS servers do not say that it is off the stream');
    const why = `attempt 1: ${error.message}`;
    reporter.batch({
      what: 'failed',
      step: 'delete',
      code: 'LOG_SERVERS',
      batch: 'events_1-2',
      events: 9,
      error,
      why,
    });
    t.same(lines, [`Could not delete batch: events_1-2, ${why}`]);
    t.end();
  },
);
