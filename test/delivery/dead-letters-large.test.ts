import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { drop } from '../../tools/dead-letters/drop.js';
import { LetterFiles } from '../../tools/dead-letters/letter-files.js';
import { doorForLetters, redrive } from '../../tools/dead-letters/redrive.js';
import { find, Selection } from '../../tools/dead-letters/selection.js';
import { toolFileSystem } from '../../tools/log/tool-file-system.js';
import type { ToolFileSystem } from '../../tools/log/tool-file-system.js';
import { frontDoor, idsIn, letter } from '../helpers/dead-letters.js';
import { leftName } from '../helpers/left-files.js';
import { tempDir } from '../helpers/temp-dir.js';

const NAME = leftName(1);
const BOUNDS = { wholeMax: 1000, piece: 2000, lineMax: 10_000 };
const NOTHING = { reason: null, from: null, to: null, batch: null, source: null, names: [] };
const ALL = new Selection(NOTHING);

/** A log directory with one file of dead letters. */
function filled(
  t: Test,
  text: string,
): { dir: string; folder: string; files: LetterFiles; largest: () => number } {
  const dir = tempDir(t);
  const folder = join(dir, 'dead-letters');
  mkdirSync(folder);
  writeFileSync(join(folder, NAME), text);
  let largest = 0;
  const fs = Object.create(toolFileSystem) as ToolFileSystem;
  const read = (fd: number, into: Buffer, at: number, length: number, ...rest: unknown[]): void => {
    largest = Math.max(largest, length);
    (toolFileSystem.read as (...args: unknown[]) => void)(fd, into, at, length, ...rest);
  };
  Object.defineProperty(fs, 'read', { value: read });
  return { dir, folder, files: new LetterFiles(fs, dir, BOUNDS), largest: () => largest };
}

void t.test('a large file is sent again a part at a time; what is refused or not meant stays', async (t) => {
  const letters = Array.from({ length: 60 }, (_each, n) => letter(n, n % 10 === 3 ? 'too new' : 'too old'));
  const long = letter(99, 'too old', 'y'.repeat(6000));
  const strange = 'no letter\n';
  const text = [...letters.slice(0, 30), strange, long, ...letters.slice(30)].join('');
  const { folder, files, largest } = filled(t, text);
  const taken: string[] = [];
  let seen = '';
  const url = await frontDoor(t, (ids) => {
    if (ids.includes('n40') && seen === '') seen = readFileSync(join(folder, `${NAME}.taken`), 'utf8');
    if (ids.includes('n7') || ids.includes('n50')) return 400;
    taken.push(...ids);
    return 202;
  });
  const selection = new Selection({ ...NOTHING, reason: 'too old' });
  const { events, names, failures } = await find(files, await files.names([]), selection);
  t.same([events, names, failures.length], [55, [NAME], 1], 'the file is named once');
  const done = await redrive(files, names, selection.has, doorForLetters(url, new AbortController().signal));
  const expected = [...letters.slice(0, 30), long, ...letters.slice(30)]
    .filter((each) => each.includes('too old'))
    .flatMap(idsIn)
    .filter((id) => id !== 'n7' && id !== 'n50');
  t.same(taken, expected, 'each once, in order');
  t.same(done.counts, { events: 53, files: 1 });
  t.equal(seen.length, text.length, 'no other letter is written anew meanwhile');
  t.same(
    idsIn(seen).slice(0, 4),
    ['n3', 'n7', 'n13', 'n23'],
    'what was taken has left the file before the next request',
  );
  const left = [3, 7, 13, 23, 33, 43, 50, 53].map((n) => letters[n] ?? '');
  left.splice(4, 0, strange);
  t.equal(readFileSync(join(folder, `${NAME}.taken`), 'utf8'), left.join(''));
  t.match(done.failures, [/_1\.jsonl\.taken, lines 2, 8: .* answered 400: because$/]);
  t.same(readdirSync(folder), [`${NAME}.taken`]);
  t.ok(largest() <= 8000, `${largest()} bytes at once`);
});

void t.test('a line of spaces, of a redrive that was killed, is no letter and goes', async (t) => {
  const blank = `${' '.repeat(letter(0).length - 1)}\n`;
  const text = [blank, letter(1), blank, letter(2), '\n'].join('');
  const { folder, files } = filled(t, text);
  const failures: string[] = [];
  const ids: string[] = [];
  for await (const { letters } of files.readEach([NAME], failures)) {
    ids.push(...letters.map(({ event }) => event.toString()).flatMap(idsIn));
  }
  t.same(ids, ['n1', 'n2']);
  t.match(failures, [/: line 5 cannot be read/]);
  const url = await frontDoor(t, (some) => (some.includes('n2') ? 400 : 202));
  const done = await redrive(files, [NAME], ALL.has, doorForLetters(url, new AbortController().signal));
  t.match(done.failures, [/\.taken, line 1: .* answered 400/], 'the line as it is then');
  t.equal(readFileSync(join(folder, `${NAME}.taken`), 'utf8'), `${letter(2)}\n`);
});

void t.test('a large file is dropped from a part at a time', async (t) => {
  const letters = Array.from({ length: 60 }, (_each, n) => letter(n, n % 10 === 3 ? 'too new' : 'too old'));
  const { folder, files, largest } = filled(t, `${letters.join('')}{"half`);
  const done = await drop(files, [NAME], new Selection({ ...NOTHING, reason: 'too old' }).has);
  t.match(done, { counts: { events: 54, files: 1 }, failures: [] });
  const left = letters.filter((each) => each.includes('too new'));
  t.equal(readFileSync(join(folder, `${NAME}.taken`), 'utf8'), `${left.join('')}{"half`);
  t.ok(largest() <= BOUNDS.piece, `${largest()} bytes at once`);
});

void t.test('without room for the letters that are left none is lost, and nothing else stays', async (t) => {
  const { folder, dir } = filled(t, letter(1) + letter(2));
  const fs = Object.create(toolFileSystem) as ToolFileSystem;
  const write = (fd: number, bytes: Buffer, at: number, length: number, ...rest: unknown[]): void => {
    if (bytes.includes('n2')) {
      const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
      (rest.at(-1) as (error: Error) => void)(full);
    } else (toolFileSystem.write as (...args: unknown[]) => void)(fd, bytes, at, length, ...rest);
  };
  Object.defineProperty(fs, 'write', { value: write });
  const files = new LetterFiles(fs, dir);
  const url = await frontDoor(t, (ids) => (ids.includes('n2') ? 400 : 202));
  const done = await redrive(files, [NAME], ALL.has, doorForLetters(url, new AbortController().signal));
  t.match(done, { counts: { events: 1 }, failures: [/answered 400/, /ENOSPC/] });
  t.same(readdirSync(folder), [`${NAME}.taken`]);
  t.same(idsIn(readFileSync(join(folder, `${NAME}.taken`), 'utf8')), ['n2']);
  const again = await redrive(
    new LetterFiles(toolFileSystem, dir),
    [`${NAME}.taken`],
    ALL.has,
    doorForLetters(url, new AbortController().signal),
  );
  t.match(again.failures, [/, line 1: /]);
});
