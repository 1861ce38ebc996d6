import { mkdirSync, writeFileSync } from 'node:fs';
import type { Dir, OpenDirOptions } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { DiskUsageReader } from '../../../lib/logs/file/disk-usage.js';
import { nodeFileSystem } from '../../../lib/logs/file/file-system.js';
import type { FileSystem } from '../../../lib/logs/file/file-system.js';
import { newestLetters } from '../../../lib/logs/file/aside/newest-letters.js';
import { tempDir } from '../../helpers/temp-dir.js';

/** `performance.now()` goes on only by `aheadMs`, however slow the machine is. */
function movedClock(t: Test): { aheadMs: number } {
  const clock = { aheadMs: 0 };
  t.intercept(performance, 'now', { value: () => clock.aheadMs });
  return clock;
}

void t.test('says what stands in the folders, and how much room there is', async (t) => {
  const dir = tempDir(t);
  t.match(await new DiskUsageReader(nodeFileSystem, dir).read(), { deadLetterFiles: 0, quarantineFiles: 0 });
  mkdirSync(join(dir, 'dead-letters'));
  const letters = 'batch_20250101_000000_1.jsonl';
  writeFileSync(join(dir, 'dead-letters', letters), '12345');
  writeFileSync(join(dir, 'dead-letters', `${letters}.bak`), 'a copy is none');
  writeFileSync(join(dir, 'dead-letters', '.lock'), '');
  const usage = await new DiskUsageReader(nodeFileSystem, dir).read();
  t.match(usage, { deadLetterFiles: 1, deadLetterBytes: 5, quarantineFiles: 0, quarantineBytes: 0 });
  t.ok(Number(usage.freeBytes) > 0 && Number(usage.sizeBytes) > Number(usage.freeBytes));
});

void t.test('what cannot be read is unknown, and nothing else', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, 'dead-letters'), '');
  const usage = await new DiskUsageReader(nodeFileSystem, dir).read();
  t.match(usage, { deadLetterFiles: null, deadLetterBytes: null, quarantineFiles: 0 });
  t.type(usage.freeBytes, 'number');
});

void t.test('a disk that hangs is asked once, and waited for a second', async (t) => {
  let asked = 0;
  const fs = Object.create(nodeFileSystem, {
    opendir: {
      value: () => {
        asked++; // and never answers
      },
    },
  }) as FileSystem;
  const clock = movedClock(t);
  const reader = new DiskUsageReader(fs, tempDir(t));
  for (let n = 0; n < 3; n++) {
    t.match(await reader.read(), { deadLetterFiles: null, freeBytes: null });
    clock.aheadMs += 60_000;
  }
  t.equal(asked, 2, 'each folder once');
});

void t.test('where a look takes long, the next one comes much later', async (t) => {
  const dir = tempDir(t);
  mkdirSync(join(dir, 'dead-letters'));
  writeFileSync(join(dir, 'dead-letters', 'batch_20261126_010203_1.jsonl'), '');
  const clock = movedClock(t);
  let looks = 0;
  let tookMs = 0;
  const fs = Object.create(nodeFileSystem, {
    opendir: {
      value: (path: string, options: OpenDirOptions, done: (error: Error | null, handle: Dir) => void) => {
        if (path.endsWith('dead-letters')) {
          looks++;
          clock.aheadMs += tookMs;
        }
        nodeFileSystem.opendir(path, options, done);
      },
    },
  }) as FileSystem;
  const usage = new DiskUsageReader(fs, dir);
  const looksAfter = async (ms: number): Promise<number> => {
    clock.aheadMs += ms;
    await usage.read();
    return looks / 2; // one for the sizes, one for the newest
  };
  t.equal(await looksAfter(0), 1);
  t.equal(await looksAfter(4000), 1);
  tookMs = 1000;
  t.equal(await looksAfter(2000), 2, 'five seconds after a short one');
  t.equal(await looksAfter(38_000), 2);
  t.equal(await looksAfter(3000), 3, 'forty after one of two seconds');
});

void t.test('of many dead letters the newest are found, in whatever order they are listed', async (t) => {
  const dir = tempDir(t);
  mkdirSync(join(dir, 'dead-letters'));
  const numbers = Array.from({ length: 3000 }, (_, n) => (n * 1999) % 3000);
  for (const n of numbers) {
    const name = `batch_20261126_010203_${n}.jsonl`;
    writeFileSync(
      join(dir, 'dead-letters', name),
      `{"batch":"${name}","index":0,"reason":"${n}","status":422,"attempts":1,"time":"2026-11-26T01:02:03.000Z","event":{}}\n`,
    );
  }
  writeFileSync(join(dir, 'dead-letters', 'batch_20271126_010203_1.jsonl.new'), '');
  writeFileSync(join(dir, 'dead-letters', 'zzz'), '');
  const found = await newestLetters(nodeFileSystem, dir);
  t.same(
    found.map(({ reason }) => reason),
    ['2999', '2998', '2997', '2996', '2995'],
  );
});
