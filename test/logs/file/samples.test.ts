import { copyFileSync, cpSync, mkdirSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import t from 'tap';
import { AppendLog } from '../../../lib/logs/file/append-log.js';
import { Reporter } from '../../../lib/base/reporter.js';
import { idsOf, startForebay, until } from '../../helpers/running-forebay.js';
import { tempDir } from '../../helpers/temp-dir.js';

const SAMPLES = 'test/logs/file/samples';
/** A log directory with an id window: a segment has the id `j`, whose file is gone; a file that is in no segment has `k` and `l`. */
const WITH_IDS = join(SAMPLES, 'with-ids');
const FILE_WITH_IDS = 'batch_20261130_224053_1.jsonl';
const FILE_WITH_CONTEXTS = 'batch_20261201_000000_1.jsonl';

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
  [
    'with marks of ids',
    join('with-ids', FILE_WITH_IDS),
    { '878ce44c08dca9f4-batch_20261130_224053_1.jsonl@36a86e134ad5cc8f': 'k l' },
  ],
  [
    'with marks of contexts',
    FILE_WITH_CONTEXTS,
    {
      '0f1e2d3c4b5a6978-batch_20261201_000000_1.jsonl#1-2@cb0400858a409dc6': 'm n',
      '0f1e2d3c4b5a6978-batch_20261201_000000_1.jsonl#3-5@4b852254aa385ea8': 'o p q',
    },
  ],
];
/** In each of its batches: `m` to `o` are of one request, `p` is a replay. */
const TRACED = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', isReplay: false };
const CONTEXTS = [
  [TRACED, TRACED],
  [TRACED, { traceparent: null, isReplay: true }, null],
];

for (const [about, file, expected] of VERSIONS) {
  void t.test(
    `a file of a version ${about} is read, and its batches have the keys that they had`,
    async (t) => {
      const dir = tempDir(t);
      mkdirSync(dir, { recursive: true });
      copyFileSync(join(SAMPLES, file), join(dir, basename(file)));
      const log = await AppendLog.open({ dir, fsync: 'never', reporter: new Reporter() });
      t.teardown(() => log.close());
      const [pending] = await log.list(null, 1);
      if (pending === undefined) throw new Error('no file');
      const stored = await log.read(pending);
      const batches: Record<string, string> = {};
      for (let index = 0; index < Math.max(1, stored.pieces.length); index++) {
        const { key, bytes, contexts } = await stored.piece(index);
        t.strictSame(contexts, file === FILE_WITH_CONTEXTS ? CONTEXTS[index] : []);
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

const sample = (id: string): string =>
  `{"id":"${id}","type":"sample","data":{"n":"12345678901234567890"},"timestamp":1796056802885}`;
/** Longer than any window that a server may have, as the sample grows old. */
const windowMs = 100 * 366 * 86_400_000;

void t.test('a directory with an id window is delivered, and its ids are known', async (t) => {
  const dir = tempDir(t);
  cpSync(WITH_IDS, dir, { recursive: true });
  const idRules = [{ source: 'events', windowMs, conflict: 'accept' }] as const;
  const { forebay, sink, said } = await startForebay(t, { logDir: dir, idRules });
  for (const id of ['j', 'k', 'l'])
    t.same(await forebay.write(sample(id)), { duplicate: true }, `${id} came before`);
  t.match(forebay.idUsage(), [{ source: 'events', ids: 3, duplicates: 3, conflicts: 0 }]);
  t.same(await forebay.write(sample('m')), { duplicate: false });
  await sink.received(3);
  await until(() => forebay.counts().pending === 0, 'all is delivered');
  t.same(sink.lines, ['k', 'l', 'm'].map(sample));
  t.same(
    said.filter(({ level, text }) => level !== 'info' && !text.includes('SINK')),
    [],
  );
  t.equal(forebay.counts().quarantined, 0);
});

void t.test('a server without windows delivers it as well, and stores what comes again', async (t) => {
  const dir = tempDir(t);
  cpSync(WITH_IDS, dir, { recursive: true });
  const before = readdirSync(join(dir, 'id-window'));
  const { forebay, sink, said } = await startForebay(t, { logDir: dir });
  t.same(await forebay.write(sample('j')), { duplicate: false });
  await sink.received(3);
  await until(() => forebay.counts().pending === 0, 'all is delivered');
  t.same(sink.lines, ['k', 'l', 'j'].map(sample));
  t.equal(forebay.counts().quarantined, 0);
  t.same(readdirSync(join(dir, 'id-window')), before, 'the window is left alone');
  t.notMatch(said.map(({ text }) => text).join('\n'), /not a batch file|id.window/i);
});

void t.test('a compressed file of several batches has the batches and keys that it had', async (t) => {
  const dir = tempDir(t);
  cpSync(join(SAMPLES, 'compressed'), dir, { recursive: true });
  const log = await AppendLog.open({ dir, fsync: 'never', reporter: new Reporter() });
  t.teardown(() => log.close());
  const [pending] = await log.list(null, 1);
  if (pending === undefined) throw new Error('no file');
  const stored = await log.read(pending);
  const keys = await Promise.all(stored.pieces.map(async (piece) => (await piece.read()).key));
  t.same(keys, [
    '0123456789abcdef-batch_20261201_050000_1.jsonl#1-20@e51f0df11fc887d3',
    '0123456789abcdef-batch_20261201_050000_1.jsonl#21-40@7137b4cd467bf612',
    '0123456789abcdef-batch_20261201_050000_1.jsonl#41-60@0a086f5a3f74bd1a',
  ]);
  t.match(log, { pendingEvents: 60, quarantined: 0 });
});
