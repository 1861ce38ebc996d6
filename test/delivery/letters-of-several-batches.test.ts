import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { EventBlock } from '../../lib/event/event-block.js';
import type { Forebay } from '../../lib/forebay.js';
import { AppendLog } from '../../lib/logs/file/append-log.js';
import { Reporter } from '../../lib/base/reporter.js';
import { nodeFileSystem } from '../../lib/logs/file/file-system.js';
import type { FileSystem } from '../../lib/logs/file/file-system.js';
import type { Batch } from '../../lib/seams/batch.js';
import type { BatchPart } from '../../lib/seams/event-log.js';
import type { Sink } from '../../lib/seams/sink.js';
import { SinkError } from '../../lib/seams/sink-error.js';
import { compressed, severalBatches } from '../helpers/compressed-files.js';
import { addsUp, eventText, idsOf, startWith, until } from '../helpers/running-forebay.js';
import { batchFiles, leftName } from '../helpers/left-files.js';
import { tempDir } from '../helpers/temp-dir.js';

/** Refuses `bad…` unless it is mended, fails at `toxic…`. */
class Picky implements Sink {
  readonly taken: string[] = [];
  isMended = false;

  async deliver({ bytes }: Batch): Promise<void> {
    const ids = idsOf(bytes.toString('utf8').split('\n').slice(0, -1));
    if (ids.some((id) => id.startsWith('toxic'))) throw new Error('it broke');
    const refused = ids.flatMap((id, index) =>
      id.startsWith('bad') && !this.isMended ? [{ index, reason: `no ${id}`, status: 422 }] : [],
    );
    this.taken.push(...ids.filter((id) => this.isMended || !id.startsWith('bad')));
    if (refused.length > 0) throw new SinkError('some are bad', { refused });
  }
}

function part(ids: readonly string[]): BatchPart {
  const block = EventBlock.of(...ids.map((id) => eventText(id)));
  const request = { block, withdrawn: false, acknowledge: () => undefined };
  const bytes = block.startOf(block.length) + 33 * block.length;
  return { ranges: [{ request, from: 0, to: block.length }], events: block.length, bytes, end: 'size' };
}

async function send(forebay: Forebay, ids: readonly string[]): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    forebay.take(EventBlock.of(...ids.map((id) => eventText(id))), (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}

const lettersIn = (dir: string): string[] =>
  readdirSync(join(dir, 'dead-letters'))
    .filter((name) => name.startsWith('batch_'))
    .flatMap((name) => readFileSync(join(dir, 'dead-letters', name), 'utf8').split('\n'))
    .filter((line) => line.startsWith('{'))
    .map((line) => (JSON.parse(line) as { event: { id: string } }).event.id);

/** What a kill leaves between the letters of a batch and the deletion of its file, which is for several and has one. */
async function killed(t: Test, batches: readonly (readonly string[])[]): Promise<string> {
  const dir = tempDir(t);
  const log = await AppendLog.open({ dir, reporter: new Reporter(), fsync: 'never', fileEvents: 100 });
  let name = '';
  // batches that are at hand together share a file
  await log.append(batches.map(part), (_part, _error, file) => void (name = file ?? name));
  const copy = tempDir(t);
  cpSync(dir, copy, { recursive: true });
  await log.close();
  const next = await AppendLog.open({ dir: copy, reporter: new Reporter(), fsync: 'never' });
  const [pending] = await next.list(null, 10);
  if (pending === undefined) throw new Error('no file');
  const stored = await next.read(pending);
  for (const piece of stored.pieces) {
    const batch = await piece.read();
    const lines = batch.bytes.toString('utf8').split('\n').slice(0, -1);
    const letters = lines.flatMap((event, index) =>
      event.includes('"bad')
        ? [{ index, reason: 'no', status: 422, attempts: 1, event: Buffer.from(event) }]
        : [],
    );
    if (letters.length > 0) await next.deadLetters.keep(batch, letters);
  }
  await next.close();
  t.ok(name);
  return copy;
}

void t.test(
  'letters of a batch whose first line is damaged since are withdrawn, as they are of any other',
  async (t) => {
    for (const [what, batches, line] of [
      [
        'of two batches',
        [
          ['a', 'bad'],
          ['c', 'd'],
        ],
        0,
      ],
      [
        'the second of two',
        [
          ['a', 'b'],
          ['c', 'bad'],
        ],
        2,
      ],
      ['of one batch', [['a', 'bad']], 0],
    ] as const) {
      // a file for several with one batch: as `isFollowed` makes it
      const dir = await (batches.length > 1 ? killed(t, batches) : killedOne(t));
      t.same(lettersIn(dir), ['bad'], what);
      const [name = ''] = batchFiles(dir);
      const lines = readFileSync(join(dir, name), 'latin1').split('\n');
      lines[line] = (lines[line] ?? '').replace('"id"', '"iD"');
      writeFileSync(join(dir, name), lines.join('\n'), 'latin1');
      const sink = new Picky();
      sink.isMended = true;
      const { forebay } = await startWith(t, sink, { logDir: dir });
      await until(() => forebay.counts().pending === 0 && batchFiles(dir).length === 0, 'all is delivered');
      t.ok(sink.taken.includes('bad'), `${what}: the sink has it now`);
      t.same(lettersIn(dir), [], `${what}: so it is no dead letter (N10)`);
      addsUp(t, forebay, what);
      await forebay.stop(0);
    }
  },
);

/** The same with one batch in a file for several. */
async function killedOne(t: Test): Promise<string> {
  const dir = tempDir(t);
  const log = await AppendLog.open({ dir, reporter: new Reporter(), fsync: 'never', fileEvents: 2 });
  // each file is full with one batch; the first two are for several, as more batches are at hand
  await log.append([part(['x', 'y']), part(['a', 'bad']), part(['z'])], () => undefined);
  const copy = tempDir(t);
  cpSync(dir, copy, { recursive: true });
  await log.close();
  const next = await AppendLog.open({ dir: copy, reporter: new Reporter(), fsync: 'never' });
  for (const pending of await next.list(null, 10)) {
    const stored = await next.read(pending);
    if (!stored.bytes.toString('utf8').includes('bad')) {
      await next.delete({ name: pending.name, events: stored.events, logBytes: stored.logBytes });
      continue;
    }
    const [piece] = stored.pieces;
    if (piece === undefined) throw new Error('it is not for several');
    const batch = await piece.read();
    const event = Buffer.from(batch.bytes.toString('utf8').split('\n')[1] ?? '');
    await next.deadLetters.keep(batch, [{ index: 1, reason: 'no', status: 422, attempts: 1, event }]);
  }
  await next.close();
  return copy;
}

void t.test(
  'letters that an earlier version kept of the first piece of a large file are withdrawn',
  async (t) => {
    const dir = tempDir(t);
    const log = await AppendLog.open({ dir, reporter: new Reporter(), fsync: 'never' });
    await log.append([part(['a', 'bad', 'c', 'd'])], () => undefined);
    await log.close();
    const fileBounds = { wholeMax: 50, piece: 300, lineMax: 1000 };
    const next = await AppendLog.open({ dir, reporter: new Reporter(), fsync: 'never', fileBounds });
    const [pending] = await next.list(null, 1);
    if (pending === undefined) throw new Error('no file');
    const stored = await next.read(pending);
    const piece = await stored.pieces[0]?.read();
    if (piece === undefined) throw new Error('no piece');
    t.match(piece.name, /#1-\d$/, 'a piece of a large file');
    // the earlier version: ranges from 0, and the name of the file, with a number if that is taken
    const old = piece.key.replace(/#1-(\d+)@/, '#0-$1@');
    const about = {
      batch: piece.name.replace('#1-', '#0-'),
      key: old,
      index: 1,
      reason: 'no',
      status: 422,
      attempts: 1,
    };
    const letter = JSON.stringify({ ...about, time: new Date().toISOString() }).slice(0, -1);
    mkdirSync(join(dir, 'dead-letters'));
    const event = eventText('bad');
    writeFileSync(join(dir, 'dead-letters', pending.name), `${letter},"event":${event}}\n`);
    await next.deadLetters.withdraw(piece);
    t.same(lettersIn(dir), [], 'the sink has taken it');
    await next.close();
  },
);

void t.test(
  '--dead-letters-max holds if each file has refused events and one that the sink fails at',
  async (t) => {
    const sink = new Picky();
    const { forebay, dir } = await startWith(t, sink, { batchSize: 10, deadLettersBytesMax: 20_000 });
    let n = 0;
    const size = (): number => {
      const folder = join(dir, 'dead-letters');
      return readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
    };
    for (let file = 0; file < 8; file++) {
      const bad = Array.from({ length: 29 }, () => `bad${n++}`);
      await send(forebay, [...bad, `toxic${n++}`]);
      await until(() => (forebay.sinkState()?.isolatedEvents ?? 0) > file, 'it waits apart');
    }
    t.ok(size() <= 20_000 + 30 * 300, `${size()} bytes: the bound, and the letters of one file more`);
  },
);

void t.test(
  'the look for room at replay does not grow with the square of the files that have letters',
  async (t) => {
    const looks: number[] = [];
    for (const files of [20, 80]) {
      const dir = tempDir(t);
      const settings = { dir, reporter: new Reporter(), fsync: 'never', fileEvents: 2 } as const;
      const log = await AppendLog.open(settings);
      for (let n = 0; n < files; n++)
        await log.append([part([`bad${n}`]), part([`ok${n}`])], () => undefined);
      await log.close();
      const second = await AppendLog.open(settings);
      for (const pending of await second.list(null, files)) {
        const batch = await (await second.read(pending)).pieces[0]?.read();
        if (batch === undefined) throw new Error('no batch');
        const event = batch.bytes.subarray(0, -1);
        await second.deadLetters.keep(batch, [{ index: 0, reason: 'no', status: 422, attempts: 1, event }]);
      }
      await second.close();
      let calls = 0;
      const fs = Object.create(nodeFileSystem, {
        lstat: {
          value: (...args: Parameters<FileSystem['lstat']>) => {
            calls++;
            nodeFileSystem.lstat(...args);
          },
        },
      }) as FileSystem;
      const { forebay } = await startWith(t, new Picky(), { logDir: dir, fs });
      await until(() => forebay.counts().pending === 0 && batchFiles(dir).length === 0, 'all is settled');
      t.match(forebay.counts(), { delivered: files, deadLettered: files });
      looks.push(calls / files);
      await forebay.stop(0);
    }
    const [few = 0, many = 0] = looks;
    t.ok(many < 2 * few, `${few.toFixed(0)} and ${many.toFixed(0)} looks at files for each`);
  },
);

void t.test('equal events of two batches in a file have letters of their own', async (t) => {
  const dir = await killed(t, [
    ['a', 'bad'],
    ['b', 'bad'],
  ]);
  t.same(lettersIn(dir), ['bad', 'bad']);
  const taken: string[] = [];
  const sink: Sink = {
    async deliver({ name, bytes }) {
      const ids = idsOf(bytes.toString('utf8').split('\n').slice(0, -1));
      const refuses = name.endsWith('#1-2');
      taken.push(...ids.filter((id) => !refuses || id !== 'bad'));
      if (refuses) throw new SinkError('one is bad', { refused: [{ index: 1, reason: 'no', status: 422 }] });
      return Promise.resolve();
    },
  };
  const { forebay } = await startWith(t, sink, { logDir: dir });
  await until(() => forebay.counts().pending === 0 && batchFiles(dir).length === 0, 'all is settled');
  t.same(taken, ['a', 'b', 'bad'], 'the second of them is mended');
  t.same(lettersIn(dir), ['bad'], 'and the first is still refused');
  t.match(forebay.counts(), { delivered: 3, deadLettered: 1 });
});

void t.test('a full folder of letters holds up no file that they are of, compressed or not', async (t) => {
  for (const isCompressed of [false, true]) {
    const dir = tempDir(t);
    const path = join(dir, leftName(1));
    writeFileSync(path, severalBatches(3, 20, 200));
    const settings = { dir, reporter: new Reporter(), fsync: 'never' } as const;
    const batchesOf = async (log: AppendLog): Promise<Batch[]> => {
      const [pending] = await log.list(null, 1);
      if (pending === undefined) throw new Error('no file');
      const { pieces } = await log.read(pending);
      return Promise.all(pieces.map(async (piece) => piece.read()));
    };
    const keepFirst = async (log: AppendLog, batch: Batch | undefined): Promise<void> => {
      if (batch === undefined) throw new Error('no batch');
      const event = batch.bytes.subarray(0, batch.bytes.indexOf('\n'));
      await log.deadLetters.keep(batch, [{ index: 0, reason: 'no', status: 422, attempts: 1, event }]);
    };
    const killed = await AppendLog.open(settings);
    await keepFirst(killed, (await batchesOf(killed))[0]);
    await killed.close();
    if (isCompressed) await compressed(path);
    // nobody may take these letters away before their file is gone, and it goes once the others have theirs
    const log = await AppendLog.open({ ...settings, deadLettersBytesMax: 1 });
    const [, ...others] = await batchesOf(log);
    t.equal(others.length, 2);
    for (const batch of others) await keepFirst(log, batch);
    t.equal(lettersIn(dir).length, 3, isCompressed ? 'compressed' : 'as it was appended');
    await log.close();
  }
});
