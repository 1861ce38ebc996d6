import { setMaxListeners } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import t from 'tap';
import type { Test } from 'tap';
import type { Batch } from '../../lib/seams/batch.js';
import { Compressor } from '../../lib/sinks/file/compressor.js';
import { FileSink } from '../../lib/sinks/file/file-sink.js';
import type { FileSinkOptions } from '../../lib/sinks/file/file-sink.js';
import { batchOfLines } from '../helpers/batches.js';
import { until } from '../helpers/running-forebay.js';
import { SEED } from '../helpers/seed.js';
import { openSink, settingsOf } from '../helpers/open-sink.js';
import { tempDir } from '../helpers/temp-dir.js';
import { WatchedFiles } from '../helpers/watched-files.js';
import { Random } from '../simulation/random.js';

const never = new AbortController().signal;
setMaxListeners(0, never); // attempts that were killed listen on
const ROTATED = /^out-\d{8}T\d{6}\.\d{3}Z\.jsonl$/;

/** 20 bytes for each event, with a number that says which it is. */
const lineOf = (n: number): string => `{"id":"e${String(n).padStart(9, '0')}"}`;
const batchOf = (...numbers: number[]): Batch =>
  batchOfLines(numbers.map(lineOf), `batch_20250101_000000_${numbers[0]}.jsonl`);

interface Bench {
  readonly sink: FileSink;
  readonly fs: WatchedFiles;
  readonly dir: string;
  readonly warned: string[];
}

async function openIn(t: Test, dir: string, options: Omit<FileSinkOptions, 'fs'> = {}): Promise<Bench> {
  const fs = new WatchedFiles();
  const warned: string[] = [];
  const nothing = (): void => undefined;
  const warn = (_fields: object, text: string): void => {
    warned.push(text);
  };
  const logger = { debug: nothing, info: nothing, warn, error: nothing };
  const sink = await FileSink.open(join(dir, 'out.jsonl'), { ...options, logger, fs });
  t.teardown(() => fs.closeAll());
  return { sink, fs, dir, warned };
}

/** What a file holds, the compressed ones as well. */
function textOf(path: string): string {
  const bytes = readFileSync(path);
  return (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString();
}

const namesIn = (dir: string): string[] => readdirSync(dir).toSorted();
const rotatedIn = (dir: string): string[] => namesIn(dir).filter((name) => ROTATED.test(name));
/** Of all files that hold events, by name: rotated ones sort before the one that grows. */
const linesIn = (dir: string): string[] =>
  namesIn(dir)
    .filter((name) => /\.jsonl(\.gz)?$/.test(name))
    .flatMap((name) => textOf(join(dir, name)).split('\n').slice(0, -1));
const allCompressed = (dir: string): boolean =>
  namesIn(dir).every((name) => name === 'out.jsonl' || name.endsWith('.jsonl.gz'));

void t.test('a file is rotated before a batch would make it too large, and no batch is split', async (t) => {
  const { sink, dir } = await openIn(t, tempDir(t), { rotateBytes: 100 });
  await sink.deliver(batchOf(1, 2, 3), never);
  await sink.deliver(batchOf(4, 5), never);
  t.same(rotatedIn(dir), [], '100 bytes fit');
  await sink.deliver(batchOf(6), never);
  await sink.deliver(batchOf(7, 8, 9, 10, 11, 12), never); // larger than a file should be
  await sink.deliver(batchOf(13, 14), never);
  await Promise.all([sink.deliver(batchOf(15, 16), never), sink.deliver(batchOf(17, 18), never)]);
  await sink.close();
  t.same(
    namesIn(dir).map((name) => textOf(join(dir, name)).length / 20),
    [5, 1, 6, 4, 2],
  );
  t.same(
    linesIn(dir),
    Array.from({ length: 18 }, (_each, n) => lineOf(n + 1)),
    'names sort by time',
  );
});

void t.test('a file is rotated when its time is over, also if no more batches come', async (t) => {
  const { sink, dir } = await openIn(t, tempDir(t), { rotateAfterMs: 20 });
  await sink.deliver(batchOf(1), never);
  await until(() => rotatedIn(dir).length === 1, 'it is rotated');
  await until(() => namesIn(dir).includes('out.jsonl'), 'a new one is there');
  t.equal(statSync(join(dir, 'out.jsonl')).size, 0);
  await sink.deliver(batchOf(2), never);
  await until(() => rotatedIn(dir).length === 2, 'and again, counted from the first batch of that file');
  await sink.close();
  t.same(linesIn(dir), [lineOf(1), lineOf(2)]);
});

void t.test('neither is a file before its time, nor one that holds nothing', async (t) => {
  const young = await openIn(t, tempDir(t), { rotateAfterMs: 600_000 });
  await young.sink.deliver(batchOf(1), never);
  const empty = await openIn(t, tempDir(t), { rotateAfterMs: 1 });
  const other = await openIn(t, tempDir(t), { rotateAfterMs: 1 });
  await other.sink.deliver(batchOf(1), never);
  await until(() => rotatedIn(other.dir).length === 1, 'another has been rotated meanwhile');
  for (const { sink, dir } of [young, empty]) {
    t.same(rotatedIn(dir), []);
    await sink.close();
  }
  await other.sink.close();
});

void t.test('the time goes on over a restart', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, 'out.jsonl'), `${lineOf(1)}\n`);
  const { birthtimeMs } = statSync(join(dir, 'out.jsonl'));
  await until(() => Date.now() > birthtimeMs + 200, 'it is 200 ms old');
  const { sink } = await openIn(t, dir, { rotateAfterMs: 200 });
  await until(() => rotatedIn(dir).length === 1, 'it is rotated');
  await sink.close();
  const young = await openIn(t, dir, { rotateAfterMs: 600_000 });
  await young.sink.deliver(batchOf(2), never);
  await young.sink.close();
  const again = await openIn(t, dir, { rotateAfterMs: 600_000 });
  await again.sink.deliver(batchOf(3), never);
  await again.sink.close();
  t.equal(rotatedIn(dir).length, 1, 'no start rotates one that is not old enough');
});

void t.test('names are flushed before what is behind them is confirmed or deleted', async (t) => {
  const { sink, fs, dir } = await openIn(t, tempDir(t), { rotateBytes: 1, gzip: true });
  await sink.deliver(batchOf(1), never);
  fs.calls.length = 0;
  await sink.deliver(batchOf(2), never);
  await until(() => allCompressed(dir), 'it is compressed');
  await sink.close();
  const rotation = fs.calls.filter((call) => !/gz|unlink/.test(call)).slice(0, 5);
  t.same(rotation, [
    'rename out.jsonl > out-TIME.jsonl',
    'make out.jsonl',
    'sync DIR',
    'write out.jsonl',
    'datasync out.jsonl',
  ]);
  const compression = fs.calls.slice(fs.calls.indexOf('make out-TIME.jsonl.gz.tmp'));
  t.same(
    [...new Set(compression.filter((call) => !call.endsWith(' out.jsonl')))],
    [
      'make out-TIME.jsonl.gz.tmp',
      'write out-TIME.jsonl.gz.tmp',
      'sync out-TIME.jsonl.gz.tmp',
      'rename out-TIME.jsonl.gz.tmp > out-TIME.jsonl.gz',
      'sync DIR',
      'unlink out-TIME.jsonl',
    ],
  );
});

void t.test(
  'a rotation that fails anywhere is a failed attempt, and is done again under new names',
  async (t) => {
    for (const failing of ['rename', 'make out.jsonl', 'sync DIR']) {
      const { sink, fs, dir } = await openIn(t, tempDir(t), { rotateBytes: 1 });
      await sink.deliver(batchOf(1), never);
      fs.before = (call) => {
        if (call.startsWith(failing)) throw new Error('EIO: a test fails it');
      };
      for (let attempts = 0; attempts < 2; attempts++) {
        await t.rejects(sink.deliver(batchOf(2), never), {
          message: /out\.jsonl could not be rotated: EIO: a test fails it/,
        });
      }
      fs.before = () => undefined;
      fs.calls.length = 0;
      await sink.deliver(batchOf(2), never);
      const from = failing === 'rename' ? 'out.jsonl' : 'out-TIME.jsonl';
      t.same(
        fs.calls.slice(0, 3),
        [`rename ${from} > out-TIME.jsonl`, 'make out.jsonl', 'sync DIR'],
        `no name is left that a failed flush has seen (${failing})`,
      );
      await sink.deliver(batchOf(3), never);
      await sink.close();
      t.same(linesIn(dir), [lineOf(1), lineOf(2), lineOf(3)]);
      t.equal(rotatedIn(dir).length, 2);
    }
  },
);

void t.test('what has got its rotated name gets no more batches, not even one that would fit', async (t) => {
  const { sink, fs, dir } = await openIn(t, tempDir(t), { rotateBytes: 100 });
  await sink.deliver(batchOf(1, 2, 3), never);
  fs.before = (call) => {
    if (call === 'sync DIR') throw new Error('EIO: a test fails it');
  };
  await t.rejects(sink.deliver(batchOf(4, 5, 6), never), { message: /EIO/ });
  fs.before = () => undefined;
  await sink.deliver(batchOf(4), never);
  await sink.close();
  t.same(
    namesIn(dir).map((name) => textOf(join(dir, name)).length / 20),
    [3, 1],
  );
});

void t.test(
  'a rotation that fails while nothing comes is told, and the next batch tries it again',
  async (t) => {
    const { sink, fs, dir, warned } = await openIn(t, tempDir(t), { rotateAfterMs: 20 });
    fs.before = (call) => {
      if (call.startsWith('rename')) throw new Error('EACCES: a test fails it');
    };
    await sink.deliver(batchOf(1), never);
    await until(() => warned.length > 0, 'it is told');
    t.match(warned[0], /out\.jsonl could not be rotated: EACCES: a test fails it; it is tried again/);
    await t.rejects(sink.deliver(batchOf(2), never), { message: /EACCES/ });
    fs.before = () => undefined;
    await sink.deliver(batchOf(2), never);
    t.equal(rotatedIn(dir).length, 1);
    await sink.close();
    t.same(linesIn(dir), [lineOf(1), lineOf(2)]);
  },
);

void t.test('what a failed attempt has left does not go into a rotated file', async (t) => {
  const { sink, fs, dir } = await openIn(t, tempDir(t), { rotateBytes: 50 });
  await sink.deliver(batchOf(1), never);
  fs.before = (call) => {
    if (call.startsWith('datasync')) throw new Error('EIO: a test fails this flush');
  };
  await t.rejects(sink.deliver(batchOf(2), never), { message: /EIO/ });
  fs.before = () => undefined;
  fs.calls.length = 0;
  await sink.deliver(batchOf(2, 3), never);
  t.same(fs.calls.slice(0, 3), [
    'truncate out.jsonl',
    'datasync out.jsonl',
    'rename out.jsonl > out-TIME.jsonl',
  ]);
  await sink.close();
  t.same(linesIn(dir), [lineOf(1), lineOf(2), lineOf(3)]);
});

void t.test('killed at any call of a rotation, it has lost nothing and cut nothing', async (t) => {
  const options = { rotateBytes: 30, gzip: true };
  const deliveries = async ({ sink }: Bench, confirmed: string[]): Promise<void> => {
    for (let n = 1; n <= 4; n++) {
      await sink.deliver(batchOf(n), never);
      confirmed.push(lineOf(n));
    }
  };
  const whole = await openIn(t, tempDir(t), options);
  await deliveries(whole, []);
  await until(() => allCompressed(whole.dir), 'all is compressed');
  await whole.sink.close();
  const calls = whole.fs.calls.length;
  t.ok(calls > 35, `${calls} calls`);
  const seen = new Set<string>();
  for (let count = 0; count < calls; count++) {
    const dir = tempDir(t);
    const confirmed: string[] = [];
    const first = new WatchedFiles();
    const killed = first.killAt(count);
    const running = (async () => {
      const sink = await FileSink.open(join(dir, 'out.jsonl'), { ...options, fs: first });
      await deliveries({ sink, fs: first, dir, warned: [] }, confirmed);
    })();
    running.catch(() => undefined);
    await killed;
    await first.closeAll();
    seen.add(
      namesIn(dir)
        .join(' ')
        .replaceAll(/\d{8}T\d{6}\.\d{3}Z/g, 'T'),
    );
    const before = linesIn(dir);
    for (const line of confirmed) t.ok(before.includes(line), `killed at call ${count}: ${line} is there`);
    const second = await openIn(t, dir, options);
    await second.sink.deliver(batchOf(9), never);
    await until(() => allCompressed(dir), `killed at call ${count}: what was left is finished`);
    await second.sink.close();
    t.same(
      linesIn(dir).filter((line) => confirmed.includes(line) || line === lineOf(9)),
      [...confirmed, lineOf(9)],
      `killed at call ${count}: each line once, in order, behind it the next`,
    );
    t.ok(linesIn(dir).every((line) => /^{"id":"e\d+"}$/.test(line)));
  }
  for (const state of [
    'out-T.jsonl', // renamed, no new file
    'out-T.jsonl out.jsonl',
    'out-T.jsonl out-T.jsonl.gz.tmp out.jsonl',
    'out-T.jsonl out-T.jsonl.gz out.jsonl',
    'out-T.jsonl.gz out.jsonl',
  ]) {
    t.ok(
      [...seen].some((each) => each.endsWith(state)),
      `a kill has left ${state}`,
    );
  }
});

void t.test(
  'a file that cannot be compressed stays plain, is told of and tried again; delivery goes on',
  async (t) => {
    const { fs, dir, warned } = await openIn(t, tempDir(t));
    const path = join(dir, 'out-20250101T000000.000Z.jsonl');
    writeFileSync(path, `${lineOf(1)}\n`);
    let isFull = true;
    fs.before = (call) => {
      if (isFull && /^write .*gz/.test(call)) throw new Error('ENOSPC: a test fills the disk');
    };
    const nothing = (): void => undefined;
    const warn = (_fields: object, text: string): void => {
      warned.push(text);
    };
    const compressor = new Compressor(fs, { debug: nothing, info: nothing, warn, error: nothing }, 5);
    compressor.add(path);
    await until(() => warned.length >= 2, 'it is told, and tried again');
    t.match(warned[0], /^1 rotated files could not be compressed and are left plain.*ENOSPC: a test fills/);
    t.equal(readFileSync(path, 'utf8'), `${lineOf(1)}\n`);
    t.notOk(
      namesIn(dir).some((name) => name.endsWith('.tmp')),
      'nothing takes the room that is left',
    );
    isFull = false;
    await until(() => !namesIn(dir).includes('out-20250101T000000.000Z.jsonl'), 'it is compressed');
    await compressor.close();
    t.equal(textOf(`${path}.gz`), `${lineOf(1)}\n`);
  },
);

void t.test('delivery does not wait for compression', async (t) => {
  const { sink, fs, dir } = await openIn(t, tempDir(t), { rotateBytes: 1, gzip: true });
  let release: () => void = () => undefined;
  fs.before = (call) =>
    call.startsWith('sync out-TIME.jsonl.gz.tmp')
      ? new Promise((resolve) => {
          release = resolve;
        })
      : undefined;
  for (let n = 1; n <= 5; n++) await sink.deliver(batchOf(n), never);
  t.equal(rotatedIn(dir).length, 4, 'while the disk does not answer the first');
  fs.before = () => undefined;
  release();
  await until(() => allCompressed(dir), 'all are compressed');
  await sink.close();
  t.same(linesIn(dir), [1, 2, 3, 4, 5].map(lineOf));
});

void t.test('a large file is compressed in pieces, whole, and closing does not wait for it', async (t) => {
  const dir = tempDir(t);
  const path = join(dir, 'out-20250101T000000.000Z.jsonl');
  const random = new Random(SEED);
  const numbers = Array.from({ length: 200_000 }, () => random.next());
  writeFileSync(path, numbers.join('\n'));
  const { sink, fs } = await openIn(t, dir, { gzip: true, rotateBytes: 1 });
  await until(() => fs.calls.some((call) => call.startsWith('write out-TIME.jsonl.gz.tmp')), 'it has begun');
  await sink.close();
  t.equal(readFileSync(path, 'utf8').length, numbers.join('\n').length, 'the plain file stays');
  const again = await openIn(t, dir, { gzip: true, rotateBytes: 1 });
  await until(() => allCompressed(dir), 'it is compressed');
  await again.sink.close();
  t.equal(textOf(`${path}.gz`), numbers.join('\n'));
  t.ok(again.fs.calls.filter((call) => call.startsWith('write')).length > 3, 'in pieces');
});

void t.test('a start finishes what was left, and touches nothing else', async (t) => {
  const dir = tempDir(t);
  const others = [
    'out-copy.jsonl',
    'out-20250101T000000.000Z.jsonl.bak',
    'out-20250101T000000.000Z.txt',
    'out-20250101.jsonl',
    'out-1Z.jsonl', // a date for `Date.parse`
    'out-20251301T000000.000Z.jsonl',
    'out-XYZ.jsonl.gz.tmp',
    'other-20250101T000000.000Z.jsonl',
    'other-20250101T000000.000Z.jsonl.gz.tmp',
  ];
  for (const name of others) writeFileSync(join(dir, name), name);
  writeFileSync(join(dir, 'out-20250101T000000.001Z.jsonl'), `${lineOf(1)}\n`);
  writeFileSync(join(dir, 'out-20250101T000000.001Z.jsonl.gz.tmp'), 'half');
  writeFileSync(join(dir, 'out-20250101T000000.002Z.jsonl'), `${lineOf(2)}\n`);
  writeFileSync(join(dir, 'out-20250101T000000.002Z.jsonl.gz'), gzipSync(`${lineOf(2)}\n`));
  writeFileSync(join(dir, 'out-20250101T000000.003Z.jsonl.gz.tmp'), 'half');
  writeFileSync(join(dir, 'out-20250101T000000.004Z.jsonl.gz'), gzipSync(`${lineOf(4)}\n`));
  const plain = await openIn(t, dir);
  t.notOk(
    namesIn(dir).some((name) => /^out-2025.*tmp$/.test(name)),
    'without --sink-file-gzip: halves go away',
  );
  const left = (): number => rotatedIn(dir).filter((name) => !others.includes(name)).length;
  t.equal(left(), 2);
  await plain.sink.close();
  const { sink } = await openIn(t, dir, { gzip: true });
  await until(() => left() === 0, 'with it: the rest is compressed');
  await sink.close();
  t.same(
    namesIn(dir),
    [
      ...others,
      'out-20250101T000000.001Z.jsonl.gz',
      'out-20250101T000000.002Z.jsonl.gz',
      'out-20250101T000000.004Z.jsonl.gz',
      'out.jsonl',
    ].toSorted(),
  );
  for (const name of others) t.equal(readFileSync(join(dir, name), 'utf8'), name);
  for (const n of [1, 2, 4])
    t.equal(textOf(join(dir, `out-20250101T000000.00${n}Z.jsonl.gz`)), `${lineOf(n)}\n`);
});

void t.test(
  'where the clock is behind, names go on behind the last, and nothing is overwritten',
  async (t) => {
    const dir = tempDir(t);
    writeFileSync(join(dir, 'out-29990101T000000.000Z.jsonl'), 'theirs\n');
    writeFileSync(join(dir, 'out-29990101T000000.001Z.jsonl.gz'), gzipSync('theirs\n'));
    const { sink } = await openIn(t, dir, { rotateBytes: 1 });
    writeFileSync(join(dir, 'out-29990101T000000.002Z.jsonl.gz'), gzipSync('came later\n'));
    writeFileSync(join(dir, 'out-29990101T000000.003Z.jsonl'), 'came later\n');
    for (let n = 1; n <= 3; n++) await sink.deliver(batchOf(n), never);
    await sink.close();
    t.same(linesIn(dir), ['theirs', 'theirs', 'came later', 'came later', ...[1, 2, 3].map(lineOf)]);
  },
);

void t.test('a file that someone has moved away is theirs; a new one is begun', async (t) => {
  const { sink, fs, dir } = await openIn(t, tempDir(t), { rotateBytes: 1, gzip: true });
  await sink.deliver(batchOf(1), never);
  await fs.rename(join(dir, 'out.jsonl'), join(dir, 'theirs.jsonl'));
  await sink.deliver(batchOf(2), never);
  await sink.close();
  t.equal(textOf(join(dir, 'theirs.jsonl')), `${lineOf(1)}\n`);
  t.equal(textOf(join(dir, 'out.jsonl')), `${lineOf(2)}\n`);
});

void t.test('behind a symbolic link the file is rotated, not the link', async (t) => {
  const dir = tempDir(t);
  mkdirSync(join(dir, 'data'));
  symlinkSync('data/out.jsonl', join(dir, 'out.jsonl'));
  writeFileSync(join(dir, 'data', 'out.jsonl'), '');
  const { sink } = await openIn(t, dir, { rotateBytes: 1 });
  for (let n = 1; n <= 2; n++) await sink.deliver(batchOf(n), never);
  await sink.close();
  t.same(namesIn(dir), ['data', 'out.jsonl']);
  t.same(linesIn(join(dir, 'data')), [lineOf(1), lineOf(2)]);
});

void t.test('one file has one server, also after a rotation', async (t) => {
  const { sink, dir } = await openIn(t, tempDir(t), { rotateBytes: 1 });
  for (let n = 1; n <= 2; n++) {
    await sink.deliver(batchOf(n), never);
    await t.rejects(FileSink.open(join(dir, 'out.jsonl')), {
      code: 'SINK_UNUSABLE',
      message: /another process writes into it/,
    });
  }
  t.same(linesIn(dir), [lineOf(1), lineOf(2)]);
  await sink.close();
  await (await FileSink.open(join(dir, 'out.jsonl'))).close();
});

void t.test('the settings of rotation reach the sink, and are refused where they mean nothing', async (t) => {
  const dir = tempDir(t);
  const flags = [
    '--sink',
    'file',
    '--sink-file',
    join(dir, 'out.jsonl'),
    '--sink-file-rotate-bytes',
    '1KiB',
    '--sink-file-rotate-after',
    '1h',
    '--sink-file-gzip',
  ];
  t.match(settingsOf(flags), {
    sinkFileRotateBytes: 1024,
    sinkFileRotateAfterMs: 3_600_000,
    sinkFileGzip: true,
  });
  const sink = await openSink(flags);
  const many = Array.from({ length: 50 }, (_each, n) => n);
  for (let n = 0; n < 3; n++) await sink.deliver(batchOf(...many), never);
  await until(() => namesIn(dir).filter((name) => name.endsWith('.gz')).length === 2, 'two are compressed');
  await sink.close?.();
  const cases: [string[], RegExp][] = [
    [['--sink-file-rotate-bytes', '1'], /^--sink-file-rotate-bytes goes with --sink file/],
    [['--sink-file-rotate-after', '1'], /^--sink-file-rotate-after goes with --sink file/],
    [['--sink-file-gzip'], /^--sink-file-gzip needs --sink-file-rotate-bytes or --sink-file-rotate-after/],
    [['--sink-file-rotate-after', '1 week'], /^--sink-file-rotate-after must be .* like 30s, 15min, 1h/],
    [['--sink-file-rotate-after', '30d'], /^--sink-file-rotate-after must be .* to 2147483647/],
  ];
  for (const [flags, message] of cases) {
    t.throws(() => settingsOf(flags), { message }, flags.join(' '));
  }
});
