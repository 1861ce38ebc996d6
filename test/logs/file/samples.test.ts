import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { AppendLog } from '../../../lib/logs/file/append-log.js';
import { Reporter } from '../../../lib/base/reporter.js';
import { idsOf } from '../../helpers/running-forebay.js';
import { tempDir } from '../../helpers/temp-dir.js';

const SAMPLES = 'test/logs/file/samples';

/** A file of each version that wrote another format, and the batches that a sink gets of it: their keys, and their ids. */
const VERSIONS: readonly (readonly [
  about: string,
  file: string,
  batches: Readonly<Record<string, string>>,
])[] = [
  [
    'without marks',
    'batch_20251101_000000_1.jsonl',
    { 'batch_20251101_000000_1.jsonl@d79d3b18d23efa2a': 'a b' },
  ],
  [
    'without the run',
    'batch_20251115_000000_1.jsonl',
    { 'batch_20251115_000000_1.jsonl@9fc6cc4a0df322d4': 'c d' },
  ],
  [
    'one batch a file',
    'batch_20251124_000000_1.jsonl',
    { '3f9c0d1e7a5b2c48-batch_20251124_000000_1.jsonl@1e5bcf073327b5c9': 'e f' },
  ],
  [
    'several batches a file',
    'batch_20261130_000000_1.jsonl',
    {
      '6574bbed8adedc41-batch_20261130_000000_1.jsonl#1-2@5a90c1e5474abb5b': 'g h',
      '6574bbed8adedc41-batch_20261130_000000_1.jsonl#3-3@d782a3bda3bd47d6': 'i',
    },
  ],
];

for (const [about, file, expected] of VERSIONS) {
  void t.test(
    `a file of a version ${about} is read, and its batches have the keys that they had`,
    async (t) => {
      const dir = tempDir(t);
      mkdirSync(dir, { recursive: true });
      copyFileSync(join(SAMPLES, file), join(dir, file));
      const log = await AppendLog.open({ dir, fsync: 'never', reporter: new Reporter() });
      t.teardown(() => log.close());
      const [pending] = await log.list(null, 1);
      if (pending === undefined) throw new Error('no file');
      const stored = await log.read(pending);
      const batches: Record<string, string> = {};
      for (let index = 0; index < Math.max(1, stored.pieces.length); index++) {
        const { key, bytes } = await stored.piece(index);
        const lines = bytes.toString('utf8').split('\n').slice(0, -1);
        batches[key] = idsOf(lines).join(' ');
        for (const line of lines)
          t.match(
            line,
            /^\{"id":"\w","type":"sample","data":\{"n":"12345678901234567890"\},"timestamp":\d+\}$/,
          );
      }
      t.same(batches, expected);
      t.equal(log.quarantined, 0);
    },
  );
}
