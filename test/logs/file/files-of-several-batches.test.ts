import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { EventBlock } from '../../../lib/event/event-block.js';
import { AppendLog } from '../../../lib/logs/file/append-log.js';
import { FilePace } from '../../../lib/logs/file/file-pace.js';
import type { AppendLogOptions } from '../../../lib/logs/file/append-log-options.js';
import { Reporter } from '../../../lib/base/reporter.js';
import type { Batch, PendingBatch } from '../../../lib/seams/batch.js';
import type { BatchEnd, BatchPart } from '../../../lib/seams/event-log.js';
import { heldDisk } from '../../helpers/held-disk.js';
import { batchFiles, readQuarantine } from '../../helpers/left-files.js';
import { eventText, idsOf, until } from '../../helpers/running-forebay.js';
import { tempDir } from '../../helpers/temp-dir.js';

const BOUNDS = { wholeMax: 1_000_000, piece: 1_000_000, lineMax: 1_000_000 };

const LINE_BYTES = eventText('a').length + 33;

/** A log whose sealed files are kept. */
interface Opened {
  readonly log: AppendLog;
  readonly sealed: PendingBatch[];
  readonly append: (...parts: readonly BatchPart[]) => Promise<readonly (string | null)[]>;
}

async function open(t: Test, dir: string, options: Partial<AppendLogOptions> = {}): Promise<Opened> {
  const settings = { fsync: 'never', fileEvents: 100, recentBytesMax: 1_000_000 } as const;
  const log = await AppendLog.open({ dir, reporter: new Reporter(), ...settings, ...options });
  t.teardown(() => log.close());
  const sealed: PendingBatch[] = [];
  const stopping = new AbortController();
  t.teardown(() => stopping.abort());
  log.backlog(stopping.signal).on('data', (batch: PendingBatch) => void sealed.push(batch));
  const append = async (...parts: readonly BatchPart[]): Promise<readonly (string | null)[]> => {
    const names = new Map<BatchPart, string | null>();
    await log.append(
      parts,
      (ended, error, name) => void names.set(ended, error === null ? name : error.message),
    );
    return parts.map((each) => names.get(each) ?? null);
  };
  return { log, sealed, append };
}

/** Events of a batch; it ends after them unless it says `null`. */
function part(ids: readonly string[], end: BatchEnd | null = 'size'): BatchPart {
  const block = EventBlock.of(...ids.map((id) => eventText(id)));
  const request = { block, withdrawn: false, acknowledge: () => undefined };
  const bytes = block.startOf(block.length) + 33 * block.length;
  return { ranges: [{ request, from: 0, to: block.length }], events: block.length, bytes, end };
}

async function batchesOf(log: AppendLog, file: PendingBatch): Promise<Batch[]> {
  const stored = await log.read(file);
  const batches: Batch[] = [];
  for (const piece of stored.pieces) batches.push(await piece.read());
  const events = batches.reduce((sum, batch) => sum + batch.events, 0);
  if (batches.length > 0 && events !== stored.events) throw new Error(`${events}, not ${stored.events}`);
  return batches;
}

const about = (batches: readonly Batch[]): unknown[] =>
  batches.map(({ name, key, bytes }) => [
    name.replace(/^.*#/, '#'),
    key,
    idsOf(String(bytes).split('\n').slice(0, -1)),
  ]);

void t.test('batches that come at once share a file, and each has its lines as name and key', async (t) => {
  const dir = tempDir(t);
  const { log, sealed, append } = await open(t, dir);
  const names = await append(part(['a', 'b']), part(['c', 'd', 'e']), part(['f']));
  t.equal(new Set(names).size, 1, 'one file');
  await until(() => sealed.length === 1, 'it ends when no more come');
  const [file] = sealed;
  if (file === undefined) throw new Error('no file');
  t.match(file, { events: 6, name: names[0] });
  t.equal(log.sealedBy.size, 3);
  const cached = about(await batchesOf(log, file));
  t.match(cached, [
    ['#1-2', `${log.runId}-${file.name}#1-2@`, ['a', 'b']],
    ['#3-5', `${log.runId}-${file.name}#3-5@`, ['c', 'd', 'e']],
    ['#6-6', `${log.runId}-${file.name}#6-6@`, ['f']],
  ]);
  log.forget(file);
  t.same(about(await batchesOf(log, file)), cached, 'read from the disk they are the same');
  const copy = tempDir(t);
  cpSync(dir, copy, { recursive: true });
  for (const bounds of [{ piece: 100 }, { piece: 100, wholeMax: 50 }, { piece: 500, wholeMax: 50 }]) {
    const next = await open(t, copy, { fileBounds: { ...BOUNDS, ...bounds } });
    await until(() => next.sealed.length === 1, 'it is found');
    const stored = await next.log.read(next.sealed[0] ?? file);
    t.equal(stored.bytes.length, 0, 'one of them is in memory at a time');
    t.same(about(await batchesOf(next.log, next.sealed[0] ?? file)), cached, 'and read one by one');
    await next.log.close();
  }
});

void t.test('a file in memory is whole and counts in full, if no size is known of it as well', async (t) => {
  const disk = heldDisk();
  const { log, sealed, append } = await open(t, tempDir(t), { fs: disk.fs });
  await append(part(['a', 'b']), part(['c']));
  await until(() => sealed.length === 1, 'the file ends');
  const [file] = sealed;
  if (file === undefined) throw new Error('no file');
  const before = about(await batchesOf(log, file));
  disk.fail('lstat', 'EIO');
  const [listed] = await log.list(null, 1);
  disk.fail('lstat', null);
  if (listed === undefined) throw new Error('no file is listed');
  t.match(listed, { name: file.name, logBytes: 0 }, 'its size is not known');
  t.ok(log.remembers(listed), 'it is in memory');
  t.same(about(await batchesOf(log, listed)), before);
  await log.delete(await log.read(listed));
  t.match(log, { pendingEvents: 0, pendingBytes: 0 });
});

void t.test('a batch has its name from its first event on, whatever follows in the file', async (t) => {
  const dir = tempDir(t);
  const { log, sealed, append } = await open(t, dir);
  await append(part(['a']), part(['z']), part(['b', 'c'], null));
  const copy = tempDir(t);
  cpSync(dir, copy, { recursive: true }); // what a kill leaves
  await append(part(['d']), part(['e']));
  await until(() => sealed.length > 0, 'the file ends');
  const [file] = sealed;
  if (file === undefined) throw new Error('no file');
  const whole = about(await batchesOf(log, file));
  const next = await open(t, copy);
  await until(() => next.sealed.length === 1, 'it is found');
  const cut = about(await batchesOf(next.log, next.sealed[0] ?? file));
  t.match(cut, [['#1-1'], ['#2-2'], ['#3-4', /./, ['b', 'c']]]);
  t.same(cut.slice(0, 2), whole.slice(0, 2), 'a batch that had ended is the same after a crash');
});

void t.test('slow batches have a file each, and fast ones share one that does not grow old', (t) => {
  let nowMs = 1000;
  const pace = new FilePace(100, 1000, () => nowMs);
  const endAfter = (ms: number): void => {
    nowMs += ms;
    pace.ended();
  };
  const goesOn = (bornMs: number, events = 1, bytes = 1): boolean =>
    pace.goesOn({ bornMs }, events, bytes, false);
  t.notOk(pace.isShared(false));
  t.ok(pace.isShared(true), 'others are at hand');
  endAfter(0);
  t.notOk(pace.isShared(false), 'the first');
  endAfter(50);
  t.notOk(pace.isShared(false), 'a slow one');
  t.notOk(goesOn(nowMs));
  endAfter(49);
  t.ok(pace.isShared(false), 'a fast one');
  t.equal(pace.restMs, 50);
  t.ok(goesOn(nowMs));
  t.ok(goesOn(nowMs - 99));
  t.notOk(goesOn(nowMs - 100), 'it is old');
  t.notOk(goesOn(nowMs, 100), 'it is full');
  t.notOk(goesOn(nowMs, 1, 1000), 'in bytes, too');
  nowMs += 50;
  t.notOk(pace.isShared(false), 'that was a while ago');
  t.equal(pace.restMs, 0);
  t.notOk(new FilePace(0, 1000, () => nowMs).isShared(true), 'not if each batch is to have its own');
  t.end();
});

void t.test('while delivery is far behind, slower batches share a file as well, for longer', (t) => {
  let nowMs = 1000;
  let isBehind = true;
  const pace = new FilePace(
    100,
    1000,
    () => nowMs,
    () => isBehind,
  );
  pace.ended();
  nowMs += 999;
  pace.ended();
  t.ok(pace.isShared(false));
  t.equal(pace.restMs, 1000);
  t.ok(pace.goesOn({ bornMs: nowMs - 1999 }, 1, 1, false));
  t.notOk(pace.goesOn({ bornMs: nowMs - 2000 }, 1, 1, false));
  isBehind = false;
  t.notOk(pace.goesOn({ bornMs: nowMs - 100 }, 1, 1, false), 'it catches up');
  t.equal(pace.restMs, 50);
  t.end();
});

void t.test('complete batches are not kept waiting for one that comes slowly', async (t) => {
  const { log, sealed, append } = await open(t, tempDir(t));
  const first = await append(part(['a']), part(['b']), part(['c'], null));
  await until(() => sealed.length === 1, 'the file ends before its last batch does');
  t.match(sealed[0], { events: 3 });
  const next = await append(part(['d']));
  t.not(next[0], first[0], 'the rest of the batch is in another file');
  await until(() => sealed.length === 2, 'which ends with it');
  t.match(log.sealedBy, { size: 3, time: 1 });
});

void t.test('a file ends with the batch that reaches its bound in events or bytes', async (t) => {
  for (const bound of [{ fileEvents: 4 }, { fileBytes: 4 * LINE_BYTES }]) {
    const { append } = await open(t, tempDir(t), bound);
    const names = await append(...['ab', 'cd', 'ef', 'gh', 'ij'].map((ids) => part(ids.split(''))));
    const files = [...new Set(names)];
    t.same(names, [files[0], files[0], files[1], files[1], files[2]], JSON.stringify(bound));
  }
  const { append } = await open(t, tempDir(t), { fileEvents: 0 });
  t.equal(
    new Set(await append(part(['a']), part(['b']), part(['c']))).size,
    3,
    'without it each has its own',
  );
});

void t.test('a stop seals the file that would go on', async (t) => {
  const dir = tempDir(t);
  const { log, append } = await open(t, dir);
  await append(part(['a']), part(['b']));
  await log.close();
  t.equal(log.writer.unsealed[Symbol.iterator]().next().done, true);
  const next = await open(t, dir);
  await until(() => next.sealed.length === 1, 'it is found');
});

void t.test('damage changes no name but that of the batch that it hits', async (t) => {
  for (const [line, expected] of [
    [1, ['#1-1', '#3-4', '#5-6']],
    [2, ['#1-2', '#3-4', '#5-6']],
    [0, ['#1-2', '#3-4', '#5-6']],
  ] as const) {
    const dir = tempDir(t);
    const { log, sealed, append } = await open(t, dir);
    await append(part(['a', 'b']), part(['c', 'd']), part(['e', 'f']));
    await until(() => sealed.length === 1, 'the file ends');
    const [file] = sealed;
    if (file === undefined) throw new Error('no file');
    const before = about(await batchesOf(log, file));
    await log.close();
    const [name = ''] = batchFiles(dir);
    const lines = readFileSync(join(dir, name), 'latin1').split('\n');
    lines[line] = (lines[line] ?? '').replace('"id"', '"iD"');
    writeFileSync(join(dir, name), lines.join('\n'), 'latin1');
    for (const bounds of [BOUNDS, { ...BOUNDS, piece: 100, wholeMax: 50 }]) {
      const copy = tempDir(t);
      cpSync(dir, copy, { recursive: true });
      const next = await open(t, copy, { fileBounds: bounds });
      await until(() => next.sealed.length === 1, 'it is found');
      const after = about(await batchesOf(next.log, next.sealed[0] ?? file));
      t.match(
        after,
        expected.map((range) => [range]),
        `line ${line}`,
      );
      if (line === 2) t.same(after[0], before[0], 'the one before has the same key');
      t.same(after.at(-1), before.at(-1), 'and so have the others');
      t.equal(next.log.quarantined, 1);
      t.equal(readQuarantine(copy).size, 1);
      await next.log.close();
    }
  }
});
