import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { batchFiles, leftName, memoryDir } from '../helpers/left-files.js';
import { startForebay, until } from '../helpers/running-forebay.js';

// the file may take longer than others may: 36 s alone, and ten times that on a busy machine
t.setTimeout(900_000);

void t.test('100,000 small files are delivered, each once and in order', async (t) => {
  const dir = memoryDir(t);
  const count = 100_000;
  for (let n = count; n >= 1; n--)
    writeFileSync(join(dir, leftName(n)), `{"id":"${n}","type":"t","data":1}\n`);
  const startedMs = performance.now();
  const { sink, forebay } = await startForebay(t, { logDir: dir, replayWaitMs: 0 });
  const openMs = performance.now() - startedMs;
  await until(() => sink.batches.length === count && forebay.counts().pending === 0, 'delivered', 900_000);
  t.comment(`open after ${Math.round(openMs)} ms, delivered ${Math.round(performance.now() - startedMs)} ms`);
  t.ok(sink.batches.every(({ name }, index) => name === leftName(index + 1)));
  t.match(forebay.counts(), { accepted: count, delivered: count, pending: 0, unreadBatches: 0 });
  t.same(batchFiles(dir), []);
});
