import t from 'tap';
import { readBatchLines } from '../../../lib/logs/file/batch-lines.js';
import { batchesBetween } from '../../../lib/logs/file/batches-in-file.js';
import { beginsMarked, markedLine } from '../../../lib/logs/file/checksum.js';
import { eventText } from '../../helpers/running-forebay.js';

const MANY = 100_000;
const marked = (id: string): string => markedLine(eventText(id));

void t.test('damaged lines side by side take no memory for each', (t) => {
  const lines = readBatchLines(Buffer.from(marked('a') + '\n'.repeat(MANY) + marked('b')), true);
  t.match(lines, { events: 2, damagedLines: MANY });
  t.equal(lines.starts.length, 2, 'the first and the last of them');
  t.same(
    lines.starts.map(({ line, events }) => [line, events]),
    [
      [1, 1],
      [MANY, 1],
    ],
  );
  t.equal(Buffer.concat(lines.damaged).length, MANY);
  t.end();
});

void t.test('nor if they differ in kind', (t) => {
  const damaged = '\0\nx\n'.repeat(MANY);
  const lines = readBatchLines(Buffer.from(marked('a') + damaged + marked('b')), true);
  t.match(lines, { events: 2, damagedLines: 2 * MANY });
  t.equal(lines.damaged.length, 1000);
  t.equal(Buffer.concat(lines.damaged).toString(), damaged, 'all is set aside');
  t.end();
});

void t.test('nor is an event set aside that is between them', (t) => {
  const damaged = '\0\nx\n'.repeat(1000);
  const file = damaged + marked('a') + damaged + marked('b') + damaged;
  const lines = readBatchLines(Buffer.from(file), true);
  t.match(lines, { events: 2, damagedLines: 6000 });
  t.equal(Buffer.concat(lines.damaged).toString(), damaged.repeat(3));
  t.end();
});

void t.test('batches between damaged lines have the names that they had', (t) => {
  const file = ['x\ny\n', marked('a'), 'x\n', 'y\n', 'z\n', marked('b'), marked('c'), 'x\n'].join('');
  const { starts, events, damagedLines } = readBatchLines(Buffer.from(file), true);
  const end = { line: events + damagedLines, events, at: file.length, textAt: 0 };
  const all = starts.map((start, index) => ({ ...start, isMarked: index === 0 }));
  t.same(
    batchesBetween(all, end).map(({ from, to, events: of }) => [from, to, of]),
    [
      [1, 3, 1],
      [5, 8, 2],
    ],
  );
  t.end();
});

void t.test('a line that a crash has cut is summed once, whatever is in it', (t) => {
  let summed = 0;
  const cut = Buffer.from(`{"data":"${`${' '.repeat(32)}J`.repeat(1000)}`);
  const view = cut.subarray.bind(cut);
  cut.subarray = (from = 0, to = cut.length) => {
    summed += to - from;
    return view(from, to);
  };
  t.notOk(beginsMarked(cut));
  t.ok(summed > 0 && summed <= cut.length, `${summed} of ${cut.length} bytes`);
  for (const [text, begins] of [
    [`${marked('a').slice(0, -1)}J{`, true],
    [`x ${' '.repeat(40)}J${marked('a').slice(0, -1)}J{`, false],
    [`${' '.repeat(32)}J{`, false],
  ] as const)
    t.equal(beginsMarked(Buffer.from(text)), begins);
  t.end();
});
