import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  closeSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { tryLock } from 'fs-native-extensions';
import t from 'tap';
import type { Test } from 'tap';
import type { Batch } from '../../lib/seams/batch.js';
import { silentLogger } from '../../lib/base/reporter.js';
import { FileSink } from '../../lib/sinks/file/file-sink.js';
import { StdoutSink } from '../../lib/sinks/stdout/stdout-sink.js';
import { batchOfLines } from '../helpers/batches.js';
import { tempDir } from '../helpers/temp-dir.js';
import { WatchedFiles } from '../helpers/watched-files.js';

/** What others do to the file that a sink writes to: a confirmed batch is in the file that has the name then. */

const never = new AbortController().signal;
const lineOf = (n: number): string => `{"id":"e${n}"}`;
const batchOf = (n: number): Batch => batchOfLines([lineOf(n)]);

function linesAt(path: string): string[] {
  return readFileSync(path, 'utf8').split('\n').slice(0, -1);
}

const THEIRS = '{"id":"theirs"}';
const DEEDS: Readonly<Record<string, (path: string) => void>> = {
  rm: rmSync,
  'mv, as logrotate does': (path) => renameSync(path, `${path}.1`),
  'sed -i': (path) => execFileSync('sed', ['-i', 's/x/y/', path]),
  'another file under its name, as rsync makes it': (path) => {
    writeFileSync(`${path}.tmp`, `${THEIRS}\n`);
    renameSync(`${path}.tmp`, path);
  },
  'a file under its name that ends within a line': (path) => {
    writeFileSync(`${path}.tmp`, '{"id":"ha');
    renameSync(`${path}.tmp`, path);
  },
  'rm, where it has a second name': (path) => {
    linkSync(path, `${path}.second`);
    rmSync(path);
  },
  'another folder in place of its folder, as a mount does': (path) => {
    renameSync(join(path, '..'), join(path, '../../before'));
    mkdirSync(join(path, '..'));
  },
  'a copy, and cut to nothing, as copytruncate does': (path) => {
    copyFileSync(path, `${path}.1`);
    truncateSync(path, 0);
  },
  'cut within a line': (path) => {
    truncateSync(path, Math.max(0, statSync(path).size - 5));
  },
  "someone else's line behind its own": (path) => {
    appendFileSync(path, `${THEIRS}\n`);
  },
};
const leavesTheirs = /another file|someone else/;

/** A folder of its own in one that is thrown away, so that it can be moved. */
function placeFor(t: Test): string {
  const dir = join(tempDir(t), 'out');
  mkdirSync(dir);
  return join(dir, 'out.jsonl');
}

for (const [what, act] of Object.entries(DEEDS)) {
  void t.test(`${what}, between two batches`, async (t) => {
    const path = placeFor(t);
    const warned: object[] = [];
    const logger = { ...silentLogger, warn: (fields: object) => void warned.push(fields) };
    const sink = await FileSink.open(path, { logger });
    for (const n of [0, 1]) await sink.deliver(batchOf(n), never);
    act(path);
    for (const n of [2, 3]) await sink.deliver(batchOf(n), never);
    await sink.close();
    const lines = linesAt(path);
    t.same(
      lines.filter((line) => !/e[01]|theirs/.test(line)),
      [lineOf(2), lineOf(3)],
      'each once, and no half line',
    );
    if (leavesTheirs.test(what)) t.ok(lines.includes(THEIRS));
    const isReplaced = !/cut|someone else/.test(what);
    t.same(warned, isReplaced ? [{ code: 'SINK_FILE_REPLACED' }] : [], 'and the operator is told');
  });

  for (const call of ['append', 'datasync']) {
    void t.test(`${what}, before the ${call} of a batch`, async (t) => {
      const path = placeFor(t);
      const fs = new WatchedFiles();
      const sink = await FileSink.open(path, { fs });
      for (const n of [0, 1]) await sink.deliver(batchOf(n), never);
      let acted = false;
      fs.before = (made) => {
        if (acted || made !== `${call} out.jsonl`) return;
        acted = true;
        act(path);
      };
      for (const n of [2, 3]) await sink.deliver(batchOf(n), never);
      await sink.close();
      t.ok(acted);
      const lines = linesAt(path);
      for (const n of [2, 3]) t.ok(lines.includes(lineOf(n)), `${lineOf(n)} is in the file of the name`);
      t.notMatch(lines.join('\n'), '\0');
      if (leavesTheirs.test(what)) t.ok(lines.includes(THEIRS));
    });
  }
}

void t.test(
  'what a failed append has left is taken away, also where the file was cut meanwhile',
  async (t) => {
    for (const act of [
      (path: string) => truncateSync(path, 0),
      (path: string) => truncateSync(path, 13),
      () => undefined,
    ]) {
      const path = placeFor(t);
      const fs = new WatchedFiles();
      const sink = await FileSink.open(path, { fs });
      await sink.deliver(batchOf(0), never);
      fs.before = (call) => {
        if (call.startsWith('datasync')) throw new Error('EIO: a test fails this flush');
      };
      await t.rejects(sink.deliver(batchOfLines([lineOf(1), lineOf(1)]), never), { message: /EIO/ });
      fs.before = () => undefined;
      act(path);
      await sink.deliver(batchOf(2), never);
      await sink.close();
      t.match(readFileSync(path, 'utf8'), /^(?:\{"id":"e0"\}\n)?\{"id":"e2"\}\n$/);
    }
  },
);

void t.test(
  'nothing is confirmed where there is no file to write to, and all is once there is',
  async (t) => {
    const reasons: [RegExp, (path: string) => void, (path: string) => void][] = [
      [
        /ENOENT/,
        (path) => renameSync(join(path, '..'), join(path, '../../gone')),
        (path) => mkdirSync(join(path, '..')),
      ],
      [/EISDIR/, (path) => (rmSync(path), mkdirSync(path)), (path) => rmdirSync(path)],
      [/it is not a regular file/, (path) => (rmSync(path), execFileSync('mkfifo', [path])), rmSync],
      [
        /another process writes into it/,
        (path) => {
          rmSync(path);
          locked = openSync(path, 'w');
          tryLock(locked);
        },
        () => closeSync(locked),
      ],
    ];
    let locked = -1;
    for (const [reason, takeAway, bringBack] of reasons) {
      const path = placeFor(t);
      const sink = await FileSink.open(path);
      await sink.deliver(batchOf(0), never);
      takeAway(path);
      for (let n = 0; n < 2; n++) await t.rejects(sink.deliver(batchOf(1), never), { message: reason });
      bringBack(path);
      await sink.deliver(batchOf(1), never);
      await sink.close();
      t.same(linesAt(path), [lineOf(1)]);
    }
  },
);

void t.test('a link that leads somewhere else is followed', async (t) => {
  const path = placeFor(t);
  const [one, two] = ['one', 'two'].map((name) => join(path, '..', `${name}.jsonl`)) as [string, string];
  symlinkSync(one, path);
  const sink = await FileSink.open(path);
  await sink.deliver(batchOf(0), never);
  await sink.reload();
  await sink.deliver(batchOf(1), never);
  rmSync(path);
  symlinkSync(two, path);
  for (const n of [2, 3]) await sink.deliver(batchOf(n), never);
  await sink.close();
  t.equal(readFileSync(one, 'utf8'), `${lineOf(0)}\n${lineOf(1)}\n`, 'also after a SIGHUP');
  t.equal(readFileSync(two, 'utf8'), `${lineOf(2)}\n${lineOf(3)}\n`);
});

void t.test('a file that is replaced at each attempt confirms nothing, and says so', async (t) => {
  const path = placeFor(t);
  const fs = new WatchedFiles();
  const sink = await FileSink.open(path, { fs });
  fs.before = (call) => {
    if (call.startsWith('datasync')) rmSync(path);
  };
  await t.rejects(sink.deliver(batchOf(1), never), {
    message: /out\.jsonl was replaced, moved or cut while/,
  });
  fs.before = () => undefined;
  await sink.deliver(batchOf(1), never);
  await sink.close();
  t.same(linesAt(path), [lineOf(1)]);
});

void t.test('standard output that is a file: not confirmed if that was deleted or cut', async (t) => {
  const dir = tempDir(t);
  for (const flags of ['w', 'a']) {
    const path = join(dir, `out-${flags}.jsonl`);
    const fd = openSync(path, flags);
    t.teardown(() => closeSync(fd));
    const sink = StdoutSink.open(fd);
    await sink.deliver(batchOf(0), never);
    truncateSync(path, 0);
    if (flags === 'a') await sink.deliver(batchOf(1), never);
    // its position is behind the end: what is written there would follow NUL bytes
    else await t.rejects(sink.deliver(batchOf(1), never), { message: /was cut.*>>/s });
    t.equal(readFileSync(path, 'utf8'), flags === 'a' ? `${lineOf(1)}\n` : '');
    rmSync(path);
    await t.rejects(sink.deliver(batchOf(2), never), { message: /was deleted/ });
    t.notOk(existsSync(path));
    await sink.close();
  }
});
