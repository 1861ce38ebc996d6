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
      retained: false,
    });
  }
  reporter.sumUp();
  t.same(lines.slice(40), [
    'Wrote batch to: 6 more batches in a second (600 events)',
    'Deleted batch file: 2 more files in a second (600 events)',
  ]);
  t.end();
});
