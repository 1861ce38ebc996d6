import { mkdirSync, writeFileSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { Reporter } from '../../../lib/base/reporter.js';
import { AppendLog } from '../../../lib/logs/file/append-log.js';
import { Backlog } from '../../../lib/logs/file/backlog.js';
import { BLOCK_BYTES } from '../../../lib/logs/file/disk-blocks.js';
import { nodeFileSystem } from '../../../lib/logs/file/file-system.js';
import type { FileSystem } from '../../../lib/logs/file/file-system.js';
import { survey } from '../../../lib/logs/file/survey.js';
import { tempDir } from '../../helpers/temp-dir.js';
import { until } from '../../helpers/wait-for.js';

const FILES = 6000;
/** What a start may ask, whatever the directory holds. */
const SIZES_MOST = 4096;
const PAIRED = [5, 500, 5999];

const nameOf = (n: number): string => `batch_20250101_000000_${n}.jsonl`;

/** Files of two blocks each; every third is compressed, to one block. */
function filled(t: Test, pairs: readonly number[] = []): string {
  const dir = tempDir(t);
  for (let n = 1; n <= FILES; n++) {
    const isCompressed = n % 3 === 0;
    if (isCompressed || pairs.includes(n)) writeFileSync(join(dir, `${nameOf(n)}.gz`), 'x');
    if (!isCompressed || pairs.includes(n)) writeFileSync(join(dir, nameOf(n)), 'x'.repeat(BLOCK_BYTES + 1));
  }
  return dir;
}

/** What the files of `filled` take without pairs. */
const BYTES = (FILES / 3) * BLOCK_BYTES + (FILES - FILES / 3) * 2 * BLOCK_BYTES;

void t.test('a start asks for the size of a bounded number of files, and counts them all', async (t) => {
  const dir = filled(t);
  let asked = 0;
  const fs = Object.create(nodeFileSystem, {
    lstat: {
      value: (path: string, done: (error: Error | null, stats: Stats) => void) => {
        asked++;
        nodeFileSystem.lstat(path, done);
      },
    },
  }) as FileSystem;
  const found = await survey(fs, dir);
  t.match(found, { batches: FILES, newest: nameOf(FILES), isEstimate: true, pairs: [] });
  // besides, a few that might be pairs by their hash
  t.ok(asked >= SIZES_MOST && asked < SIZES_MOST + FILES / 20, `${asked} of ${FILES}`);
  t.ok(Math.abs(found.bytes / BYTES - 1) < 0.2, `${found.bytes} for ${BYTES} bytes`);
});

void t.test('a file that is there twice is found among thousands, and counts once', async (t) => {
  const dir = filled(t, PAIRED);
  const { batches, pairs } = await survey(nodeFileSystem, dir);
  t.equal(batches, FILES);
  t.same(pairs.map(({ name }) => name).toSorted(), PAIRED.map(nameOf).toSorted());
});

void t.test('the size of few files is exact, also with a pair', async (t) => {
  const dir = tempDir(t);
  for (const n of [1, 2]) writeFileSync(join(dir, nameOf(n)), 'x'.repeat(BLOCK_BYTES + 1));
  writeFileSync(join(dir, `${nameOf(2)}.gz`), 'x');
  writeFileSync(join(dir, `${nameOf(3)}.gz`), 'x');
  t.match(await survey(nodeFileSystem, dir), { batches: 3, bytes: 5 * BLOCK_BYTES, isEstimate: false });
});

void t.test(
  'a file that is there three times counts once, in whichever order its forms are found',
  async (t) => {
    const dir = tempDir(t);
    const forms = ['', '.gz', '.zst'];
    for (const form of forms) writeFileSync(join(dir, `${nameOf(1)}${form}`), 'x');
    for (const form of forms.toReversed()) writeFileSync(join(dir, `${nameOf(2)}${form}`), 'x');
    const { batches, pairs } = await survey(nodeFileSystem, dir);
    t.equal(batches, 2);
    t.equal(pairs.length, 4);
  },
);

void t.test('an estimate is made right by the first count, and no file counts as gone', async (t) => {
  const dir = filled(t);
  const errors: string[] = [];
  const error = (_fields: object, text: string): void => void errors.push(text);
  const reporter = new Reporter({ debug() {}, info() {}, warn() {}, error });
  const log = await AppendLog.open({ dir, fsync: 'never', reporter });
  t.teardown(() => log.close());
  const backlog = new Backlog(log, reporter, 100, 5);
  t.teardown(() => backlog.stop());
  t.not(log.pendingBytes, BYTES, 'it is an estimate');
  backlog.read();
  await until(() => log.pendingBytes === BYTES, 'the size is known');
  t.same(errors, []);
});

void t.test('an estimate is made right when the last names are read', async (t) => {
  const dir = filled(t);
  const reporter = new Reporter({ debug() {}, info() {}, warn() {}, error() {} });
  const log = await AppendLog.open({ dir, fsync: 'never', reporter });
  t.teardown(() => log.close());
  const backlog = new Backlog(log, reporter, FILES + 1, 1e6);
  t.teardown(() => backlog.stop());
  backlog.read();
  await until(() => log.pendingBytes === BYTES, 'the size is known');
  t.equal(log.leftoverBatches, FILES);
});

void t.test('what is no batch file is named, and a worker has a directory', async (t) => {
  const dir = tempDir(t);
  mkdirSync(join(dir, 'worker-1'));
  for (const name of ['notes.txt', `${nameOf(1)}.bz2`]) writeFileSync(join(dir, name), '');
  const { batches, remarks } = await survey(nodeFileSystem, dir);
  t.equal(batches, 0);
  t.match(remarks, [{ code: 'FOREIGN_FILE', text: /notes\.txt/ }]);
});
