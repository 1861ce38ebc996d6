import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { DiskUsageReader } from '../lib/append-log/disk-usage.js';
import { nodeFileSystem } from '../lib/append-log/file-system.js';
import type { FileSystem } from '../lib/append-log/file-system.js';
import { tempDir } from './helpers/temp-dir.js';

void t.test('says what stands in the folders, and how much room there is', async (t) => {
  const dir = tempDir(t);
  t.match(await new DiskUsageReader(nodeFileSystem, dir).read(), { deadLetterFiles: 0, quarantineFiles: 0 });
  mkdirSync(join(dir, 'dead-letters'));
  writeFileSync(join(dir, 'dead-letters', 'a.jsonl'), '12345');
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
  let nowMs = 0;
  const now = performance.now.bind(performance);
  performance.now = () => now() + nowMs;
  t.teardown(() => {
    performance.now = now;
  });
  const reader = new DiskUsageReader(fs, tempDir(t));
  for (let n = 0; n < 3; n++) {
    t.match(await reader.read(), { deadLetterFiles: null, freeBytes: null });
    nowMs += 60_000;
  }
  t.equal(asked, 2, 'each folder once');
});
