import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { markedLine } from '../../lib/logs/file/checksum.js';
import { list } from '../../tools/log/list.js';
import { print } from '../../tools/log/print.js';
import { toolFileSystem } from '../../tools/log/tool-file-system.js';
import type { ToolFileSystem } from '../../tools/log/tool-file-system.js';
import { verify } from '../../tools/log/verify.js';
import { leftName } from '../helpers/left-files.js';
import { eventText } from '../helpers/running-forebay.js';
import { tempDir } from '../helpers/temp-dir.js';
import { Collected } from '../helpers/tool-run.js';

const NAME = leftName(1);
/** Any file that is worth it is large. */
const BOUNDS = { wholeMax: 1000, piece: 500, lineMax: 2000 };

const line = (id: string, data: unknown = 'x'): Buffer => Buffer.from(markedLine(eventText(id, data)));
const ids = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_each, n) => `e${from + n}`);
const LENGTH = line('e10').length;

/** 40 lines, of which the fifth and the thirtieth are damaged, and a torn end. */
function damagedFile(): { file: Buffer; sound: string[] } {
  const lines = ids(10, 50).map((id) => line(id));
  for (const n of [4, 29]) lines[n]?.write('?', 9);
  const sound = ids(10, 50).filter((_id, n) => n !== 4 && n !== 29);
  return { file: Buffer.concat([...lines, Buffer.from('{"id":"torn')]), sound };
}

const events = (of: readonly string[]): string => of.map((id) => `${eventText(id, 'x')}\n`).join('');

function withFile(t: Test, file: Buffer | string): string {
  const dir = tempDir(t);
  writeFileSync(join(dir, NAME), file);
  return dir;
}

/** Tells how much was read at once. */
function reading(): { fs: ToolFileSystem; largest: { bytes: number } } {
  const fs = Object.create(toolFileSystem) as ToolFileSystem;
  const largest = { bytes: 0 };
  const read = (fd: number, into: Buffer, at: number, length: number, ...rest: unknown[]): void => {
    largest.bytes = Math.max(largest.bytes, length);
    (toolFileSystem.read as (...args: unknown[]) => void)(fd, into, at, length, ...rest);
  };
  Object.defineProperty(fs, 'read', { value: read });
  return { fs, largest };
}

void t.test(
  'a large file is looked through a part at a time, with its lines and bytes counted on',
  async (t) => {
    const { file, sound } = damagedFile();
    const dir = withFile(t, file);
    const { fs, largest } = reading();
    const found = new Collected();
    t.equal(await verify(fs, dir, found, BOUNDS), 1);
    t.equal(
      found.text.split('\n').slice(0, 4).join('\n'),
      [
        `${NAME}: line 5, byte ${4 * LENGTH}: the mark does not fit (${LENGTH} bytes)`,
        `${NAME}: line 30, byte ${29 * LENGTH}: the mark does not fit (${LENGTH} bytes)`,
        `${NAME}: line 41, byte ${40 * LENGTH}: torn end of 11 bytes that were never acknowledged (warning)`,
        `Read 1 batch file with 38 sound events, ${file.length} bytes: 1 file is damaged (2 lines), 1 torn end`,
      ].join('\n'),
    );
    const listed = new Collected();
    t.equal(await list(fs, dir, true, listed, '', BOUNDS), 0);
    t.match(JSON.parse(listed.text.split('\n')[0] ?? ''), {
      bytes: file.length,
      events: 38,
      damagedLines: 2,
      tornBytes: 11,
    });
    const [printed, told] = [new Collected(), [] as string[]];
    const tell = async (each: string): Promise<void> => void told.push(each);
    const all = { fs, dir, names: [], output: printed, tell, bounds: BOUNDS };
    t.equal(await print({ ...all, raw: false }), 1);
    t.equal(printed.text, events(sound));
    t.match(told, [/torn end of 11 bytes left out/, /2 damaged lines left out/]);
    t.ok(largest.bytes <= BOUNDS.piece, `${largest.bytes} bytes at once`);
    const gone = new Collected();
    gone.writes = 2;
    await print({ ...all, raw: false, output: gone });
    t.ok(gone.text.length < 2 * BOUNDS.piece, 'nothing is read for a reader that has gone');
  },
);

void t.test('a large file without marks, with a lost line break and a line that is too long', async (t) => {
  const texts = ids(10, 50).map((id) => eventText(id, 'x'));
  const long = 'y'.repeat(5000);
  const file = [...texts.slice(0, 20), long, 'no', ...texts.slice(20)].join('\n');
  const dir = withFile(t, file);
  const { fs, largest } = reading();
  const found = new Collected();
  t.equal(await verify(fs, dir, found, BOUNDS), 1);
  const at = texts.slice(0, 20).join('\n').length + 1;
  t.match(found.text, `${NAME}: line 21, byte ${at}: too long (5001 bytes)\n`);
  t.match(found.text, `${NAME}: line 22, byte ${at + 5001}: no event (3 bytes)\n`);
  t.match(
    found.text,
    `${NAME}: line 42, byte ${file.length - (texts[39]?.length ?? 0)}: the last line break`,
  );
  t.match(found.text, '(2 lines, 1 lost line break)');
  t.ok(largest.bytes <= BOUNDS.lineMax, `${largest.bytes} bytes at once`);
});
