import { existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import nodeFs from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { Reporter } from '../../../../lib/base/reporter.js';
import { EventBlock } from '../../../../lib/event/event-block.js';
import { EventIds } from '../../../../lib/event/event-ids.js';
import { SipHash } from '../../../../lib/event/sip-hash.js';
import { AppendLog } from '../../../../lib/logs/file/append-log.js';
import { nodeFileSystem } from '../../../../lib/logs/file/file-system.js';
import type { FileSystem } from '../../../../lib/logs/file/file-system.js';
import type { BatchPart } from '../../../../lib/seams/event-log.js';
import { batchFiles } from '../../../helpers/left-files.js';
import { eventText } from '../../../helpers/running-forebay.js';
import { tempDir } from '../../../helpers/temp-dir.js';

const HOUR_MS = 3_600_000;

interface Bench {
  readonly log: AppendLog;
  readonly dir: string;
  readonly said: string[];
  /** Appends events of a source, and seals their batch. @returns its name */
  readonly append: (source: string, ...ids: string[]) => Promise<string>;
  readonly remove: (name: string) => Promise<void>;
  /** The ids that this run found at its start. */
  readonly recalled: readonly string[];
}

interface Options {
  readonly dir?: string;
  readonly fs?: FileSystem;
  readonly idsMax?: number;
  readonly sources?: readonly string[];
  readonly known?: readonly string[];
  readonly fsync?: 'always' | number;
}

/** A log with windows, which knows the ids `known` by their hashes. */
async function open(
  t: Test,
  { dir = tempDir(t), fs, idsMax = 1000, sources = ['events'], known = [], fsync = 'always' }: Options = {},
): Promise<Bench> {
  const said: string[] = [];
  const say = (_fields: object, text: string): void => void said.push(text);
  const reporter = new Reporter({ debug: say, info: say, warn: say, error: say });
  const ids = { sources, windowMs: HOUR_MS, idsMax };
  const log = await AppendLog.open({ dir, fsync, reporter, ids, ...(fs && { fs }) });
  t.teardown(async () => log.close());
  const store = log.ids;
  if (store === null) throw new Error('no source has a window');
  const hash = new SipHash(store.secret);
  const idsOf = (source: string, texts: readonly string[]): EventIds => {
    const all = new EventIds({
      source,
      hash,
      holder: null,
      mask: [0, 0, 0],
      windowMs: HOUR_MS,
      refusesConflicts: false,
      lastEvents: 0,
    });
    for (const text of texts) all.addText(text, 7);
    return all;
  };
  const wordsOf = (id: string): string => {
    const ids = idsOf('', [id]);
    return String(ids.words.slice(ids.at(0), ids.at(0) + 3));
  };
  const names = new Map(known.map((id) => [wordsOf(id), id]));
  const recalled: string[] = [];
  await store.recall((source, words) => {
    for (let at = 0; at < words.length; at += 4)
      recalled.push(`${source} ${names.get(String(words.slice(at, at + 3)))} ${words[at + 3]}`);
  });
  return {
    log,
    dir,
    said,
    recalled,
    async append(source, ...texts) {
      const block = EventBlock.of(...texts.map((id) => eventText(id)));
      block.ids = idsOf(source, texts);
      const request = { block, withdrawn: false, acknowledge: () => undefined };
      const part: BatchPart = {
        ranges: [{ request, from: 0, to: texts.length }],
        events: texts.length,
        bytes: log.bytesOf(block, 0, texts.length),
        end: 'size',
      };
      let name = '';
      await log.append([part], (_part, error, batch) => {
        if (error !== null) throw error;
        name = batch ?? '';
      });
      return name;
    },
    async remove(name) {
      const [batch] = await log.find((each) => each === name, 1);
      if (batch !== undefined) await log.delete({ ...batch, events: batch.events ?? 0 });
    },
  };
}

const segmentsIn = (dir: string): string[] =>
  readdirSync(join(dir, 'id-window')).filter((name) => name.startsWith('ids_'));

/** A file system that notes what it does, and fails at some calls. */
function watched(fails: (method: string, path: string) => boolean = () => false): {
  readonly fs: FileSystem;
  readonly calls: string[];
} {
  const calls: string[] = [];
  const paths = new Map<number, string>();
  const fs = Object.create(nodeFileSystem, { dsync: { value: 0 } }) as FileSystem;
  for (const method of ['open', 'write', 'fdatasync', 'fsync', 'unlink', 'rename'] as const) {
    const real = nodeFs[method] as (...args: unknown[]) => void;
    Object.defineProperty(fs, method, {
      value: (...args: unknown[]) => {
        const [target] = args;
        const path = typeof target === 'number' ? (paths.get(target) ?? '') : String(target);
        const done = args.pop() as (error: Error | null, value?: number) => void;
        if (fails(method, path)) {
          setImmediate(done, Object.assign(new Error('a test made it fail'), { code: 'ENOSPC' }));
          return;
        }
        real(...args, (error: Error | null, value?: number) => {
          if (method === 'open' && error === null && value !== undefined) paths.set(value, path);
          calls.push(`${method} ${path}`);
          done(error, value);
        });
      },
    });
  }
  return { fs, calls };
}

void t.test('a batch file is deleted after its ids are flushed, and their name', async (t) => {
  const { fs, calls } = watched();
  const { append, remove, dir } = await open(t, { fs });
  const name = await append('events', 'a');
  calls.length = 0;
  await remove(name);
  const [segment = ''] = segmentsIn(dir);
  const place = (call: string): number => calls.findIndex((each) => each === call);
  const order = [
    place(`write ${join(dir, 'id-window', segment)}`),
    place(`fdatasync ${join(dir, 'id-window', segment)}`),
    place(`fsync ${join(dir, 'id-window')}`),
    place(`unlink ${join(dir, name)}`),
  ];
  t.ok(
    order.every((at) => at >= 0),
    String(order),
  );
  t.same(
    order,
    order.toSorted((a, b) => a - b),
  );
});

void t.test('many files share a flush', async (t) => {
  const { fs, calls } = watched();
  const { append, remove } = await open(t, { fs });
  const names: string[] = [];
  for (let n = 0; n < 20; n++) names.push(await append('events', `a${n}`));
  calls.length = 0;
  await Promise.all(names.map(remove));
  const flushes = calls.filter((each) => each.startsWith('fdatasync') && each.includes('id-window'));
  t.ok(flushes.length >= 1 && flushes.length <= 3, `${flushes.length} flushes`);
});

void t.test('what is in a segment is known after a restart, with its source and its content', async (t) => {
  const sources = ['events', 'github'];
  const first = await open(t, { sources });
  await first.remove(await first.append('events', 'a', 'b'));
  await first.remove(await first.append('github', 'a'));
  await first.append('events', 'c');
  await first.log.close();
  const known = ['a', 'b', 'c'];
  const next = await open(t, { dir: first.dir, sources, known });
  t.same(next.recalled.toSorted(), ['events a 7', 'events b 7', 'events c 7', 'github a 7']);
  await next.log.close();
  const less = await open(t, { dir: first.dir, sources: ['github'], known });
  t.ok(less.recalled.includes('github a 7'));
  t.same(segmentsIn(first.dir).length >= 1, true);
});

void t.test(
  'ids of a batch that was not sealed are read from its file, and written to a segment',
  async (t) => {
    const first = await open(t);
    await first.append('events', 'a');
    rmSync(join(first.dir, 'id-window'), { recursive: true, force: true });
    t.equal(batchFiles(first.dir).length, 1);
    const secret = Buffer.from(first.log.ids?.secret ?? []).toString('hex');
    await first.log.close();
    rmSync(join(first.dir, 'id-window'), { recursive: true, force: true });
    // as a kill leaves it: the secret was there before the first event
    nodeFs.mkdirSync(join(first.dir, 'id-window'));
    writeFileSync(join(first.dir, 'id-window', 'secret'), `${secret}\n`);
    const next = await open(t, { dir: first.dir, known: ['a'] });
    t.same(next.recalled, ['events a 7']);
    for (const name of batchFiles(first.dir)) await next.remove(name);
    await next.log.close();
    t.same(batchFiles(first.dir), []);
    t.same((await open(t, { dir: first.dir, known: ['a'] })).recalled, ['events a 7']);
  },
);

void t.test('a torn or damaged line of a segment is not believed, and the others are', async (t) => {
  const first = await open(t);
  for (const id of ['a', 'b', 'c']) await first.remove(await first.append('events', id));
  await first.log.close();
  const [name = ''] = segmentsIn(first.dir);
  const path = join(first.dir, 'id-window', name);
  const lines = readFileSync(path, 'latin1').split('\n');
  t.equal(lines.length, 5, 'a head, three records, and nothing after them');
  lines[2] = (lines[2] ?? '').replace('"events":"', '"events":"AAAA');
  writeFileSync(path, lines.join('\n'), 'latin1');
  truncateSync(path, readFileSync(path).length - 3);
  const next = await open(t, { dir: first.dir, known: ['a', 'b', 'c'] });
  t.same(next.recalled, ['events a 7']);
  t.match(next.said.join('\n'), /Damaged: 1 line of .*ids_.*may be stored twice/);
});

void t.test('ids of another secret are forgotten, and the log says so', async (t) => {
  const first = await open(t);
  await first.remove(await first.append('events', 'a'));
  await first.log.close();
  for (const text of ['', 'half a secr', null]) {
    const path = join(first.dir, 'id-window', 'secret');
    if (text === null) rmSync(path);
    else writeFileSync(path, text);
    const next = await open(t, { dir: first.dir, known: ['a'] });
    t.same(next.recalled, []);
    t.match(readFileSync(path, 'latin1'), /^[\da-f]{32}\n$/, 'there is a new one');
    if (text === '') t.match(next.said.join('\n'), /are forgotten: they are of another secret/);
    await next.log.close();
  }
});

void t.test(
  'if a segment cannot be written, files are deleted all the same, and the log says so',
  async (t) => {
    for (const method of ['write', 'fdatasync', 'open', 'fsync']) {
      let isBroken = false;
      const { fs } = watched((called, path) => isBroken && called === method && path.includes('id-window'));
      const bench = await open(t, { fs });
      const first = await bench.append('events', 'a');
      isBroken = true;
      await bench.remove(first);
      t.notOk(existsSync(join(bench.dir, first)), method);
      t.match(bench.said.join('\n'), /The id window in .* cannot be written: .* may be stored twice/);
      t.ok((bench.log.ids?.failures ?? 0) > 0);
      isBroken = false;
      await bench.remove(await bench.append('events', 'b'));
      await bench.log.close();
      const next = await open(t, { dir: bench.dir, known: ['a', 'b'] });
      t.ok(next.recalled.includes('events b 7'), 'the next ids go into a new segment');
      await next.log.close();
    }
  },
);

void t.test(
  'segments go when they are too old, and when there are enough newer ids of their sources',
  async (t) => {
    let laterMs = 0;
    const now = Date.now.bind(Date);
    const steady = performance.now.bind(performance);
    t.intercept(Date, 'now', { value: () => now() + laterMs });
    t.intercept(performance, 'now', { value: () => steady() + laterMs });
    const sources = ['events', 'github'];
    const { append, remove, dir, log } = await open(t, { idsMax: 4, sources });
    await remove(await append('github', 'g'));
    const [first = ''] = segmentsIn(dir);
    for (let n = 0; n < 10; n++) {
      laterMs += 5 * 60_000; // more than a sixteenth of the window
      await remove(await append('events', `a${n}`, `b${n}`));
    }
    await log.close();
    t.notOk(segmentsIn(dir).includes(first));
    t.ok(segmentsIn(dir).length <= 9, `${segmentsIn(dir).length} segments`);
    const known = ['g', 'a0', ...Array.from({ length: 10 }, (_, n) => [`a${n}`, `b${n}`]).flat()];
    const next = await open(t, { dir, idsMax: 4, sources, known });
    t.ok(next.recalled.includes('github g 7'), 'a quiet source keeps its ids beside a busy one');
    for (const id of ['a9', 'b9', 'a8', 'b8']) t.ok(next.recalled.includes(`events ${id} 7`), id);
    t.notOk(next.recalled.includes('events a0 7'));
    await next.log.close();
    laterMs += HOUR_MS;
    const last = await open(t, { dir, idsMax: 4, sources, known });
    t.same(last.recalled, []);
    t.same(segmentsIn(dir), []);
  },
);

void t.test('a name in a segment is not given again, even if the clock goes back', async (t) => {
  const first = await open(t);
  const name = await first.append('events', 'a');
  await first.remove(name);
  await first.log.close();
  const now = Date.now.bind(Date);
  t.intercept(Date, 'now', { value: () => now() - 60_000 });
  const next = await open(t, { dir: first.dir });
  t.ok((await next.append('events', 'b')) !== name);
  t.ok(next.log.compare(await next.append('events', 'c'), name) > 0);
});

void t.test('segments full of ids of sources without a window are not written again', async (t) => {
  const sources = ['a', 'b', 'c', 'd'];
  const dir = tempDir(t);
  for (const source of sources) {
    const { append, remove, log } = await open(t, { dir, sources, idsMax: 10 });
    await remove(await append(source, ...Array.from({ length: 9 }, (_, n) => `${source}${n}`)));
    await log.close();
  }
  const next = await open(t, { dir, sources: ['a'], idsMax: 10, known: ['a0'] });
  t.ok(next.recalled.includes('a a0 7'));
  await next.log.close();
  const text = segmentsIn(dir).map((name) => readFileSync(join(dir, 'id-window', name), 'utf8'));
  t.match(text.join(''), /"a":/);
  t.notMatch(text.join(''), /"b":/);
});

void t.test(
  'with a flush at an interval, ids are written after their events are flushed, or never',
  async (t) => {
    for (const isBroken of [false, true]) {
      const { fs, calls } = watched(
        (method, path) => isBroken && method === 'fdatasync' && path.includes('batch_'),
      );
      const bench = await open(t, { fs, fsync: 60_000 });
      const name = await bench.append('events', 'a');
      await bench.remove(name);
      await bench.log.close();
      const place = (call: string): number => calls.findIndex((each) => each.startsWith(call));
      const flushed = place(`fdatasync ${join(bench.dir, 'batch_')}`);
      const written = place(`write ${join(bench.dir, 'id-window', 'ids_')}`);
      if (isBroken) t.equal(written, -1, 'of an event that may be lost no id is kept');
      else t.ok(flushed >= 0 && flushed < written, `${flushed} before ${written}`);
    }
  },
);

void t.test('a segment that cannot be flushed at a start is forgotten, and the others are not', async (t) => {
  const dir = tempDir(t);
  for (const id of ['a', 'b', 'c']) {
    const { append, remove, log } = await open(t, { dir });
    await remove(await append('events', id));
    await log.close();
  }
  const second = segmentsIn(dir).toSorted()[1] ?? '';
  const { fs } = watched((method, path) => method === 'fdatasync' && path.endsWith(second));
  const next = await open(t, { dir, fs, known: ['a', 'b', 'c'] });
  t.same(next.recalled, ['events a 7', 'events c 7']);
  t.match(next.said.join('\n'), /The ids in .* are forgotten: it cannot be read or flushed/);
  t.ok(segmentsIn(dir).includes(second), 'it stays for the next start');
});

void t.test(
  'copies take the place of the newest segment and the secret at a start; if they cannot, ids are known all the same, and the log says so',
  async (t) => {
    const dir = tempDir(t);
    for (const id of ['a', 'b']) {
      const { append, remove, log } = await open(t, { dir });
      await remove(await append('events', id));
      await log.close();
    }
    const window = join(dir, 'id-window');
    const inodes = (): number[] =>
      [...segmentsIn(dir).toSorted(), 'secret'].map((name) => nodeFs.statSync(join(window, name)).ino);
    const before = inodes();
    let isBroken = false;
    const { fs, calls } = watched((method) => isBroken && method === 'rename');
    const next = await open(t, { dir, fs, known: ['a', 'b'] });
    t.same(next.recalled, ['events a 7', 'events b 7']);
    t.same(
      inodes().map((inode, at) => inode === before[at]),
      [true, false, false],
    );
    const renamed = calls.findLastIndex((each) => each.startsWith('rename'));
    const flushed = calls.indexOf(`fsync ${window}`, renamed);
    t.ok(renamed >= 0 && flushed > renamed, 'and their names are flushed');
    await next.log.close();
    isBroken = true;
    const last = await open(t, { dir, fs, known: ['a', 'b'] });
    t.same(last.recalled, ['events a 7', 'events b 7']);
    t.match(last.said.join('\n'), /The id window in .* cannot be written: .* may be stored twice/);
  },
);
