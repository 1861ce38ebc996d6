import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { Reporter } from '../../../../lib/base/reporter.js';
import { Compressor } from '../../../../lib/logs/file/compressed/compressor.js';
import type { CompressionSource, CompressionTask } from '../../../../lib/logs/file/compressed/compressor.js';
import { markedLine } from '../../../../lib/logs/file/checksum.js';
import { nodeFileSystem } from '../../../../lib/logs/file/file-system.js';
import { eventText } from '../../../helpers/running-forebay.js';
import { tempDir } from '../../../helpers/temp-dir.js';
import { until } from '../../../helpers/wait-for.js';

const LINES = markedLine(eventText('a', 'x'.repeat(200))).repeat(500);

/** A file to compress, which stays as it is. */
function task(t: Test, path: string, isRoomy: boolean, compressed: () => void): CompressionTask {
  writeFileSync(path, LINES);
  return {
    path,
    to: path,
    bytes: LINES.length,
    mayBeWritten: false,
    isWanted: () => true,
    isRoomy: () => isRoomy,
    place: async () => {
      compressed();
      return Promise.resolve(false);
    },
    again: () => t.fail(`${path} failed`),
  };
}

void t.test(
  'what waits for the sink is compressed before what is kept, however much of that comes',
  async (t) => {
    const dir = tempDir(t);
    const order: string[] = [];
    const taskOf = (name: string): CompressionTask => task(t, join(dir, name), false, () => order.push(name));
    let [kept, waiting, small] = [0, 2, 3];
    const retained: CompressionSource = { next: async () => taskOf(`kept-${++kept}`) };
    const backlog: CompressionSource = {
      next: async () => {
        if (small > 0) return (small--, 0); // it takes no less, and another one waits behind it
        return waiting > 0 ? taskOf(`waits-${waiting--}`) : null;
      },
    };
    const compressor = new Compressor({ fs: nodeFileSystem, reporter: new Reporter() });
    compressor.add(retained);
    compressor.add(backlog, true);
    compressor.look();
    await until(() => order.length >= 3, 'three files were compressed');
    await compressor.close();
    t.same(order.slice(0, 3), ['waits-2', 'waits-1', 'kept-1']);
  },
);

void t.test('it rests for longer while there is time', async (t) => {
  const path = join(tempDir(t), 'file');
  let nowMs = 0;
  t.capture(performance, 'now', () => nowMs);
  const { setTimeout: later } = globalThis;
  const rests: number[] = [];
  t.capture(globalThis, 'setTimeout', (run: () => void, ms: number) => {
    rests.push(ms);
    return later(run, 0);
  });
  const roomy = [true, true, false, false];
  let at = 0;
  const source: CompressionSource = {
    next: async () => {
      const isRoomy = roomy[at++];
      if (isRoomy === undefined) return null;
      return task(t, path, isRoomy, () => (nowMs += 10));
    },
  };
  const compressor = new Compressor({ fs: nodeFileSystem, reporter: new Reporter() });
  compressor.add(source);
  compressor.look();
  await until(() => at > roomy.length, 'it asks for the last time');
  await compressor.close();
  t.same(rests, [0, 240, 240, 40, 40]);
});
