import { closeSync, mkdirSync, openSync, readdirSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { markedLine } from '../../lib/logs/file/checksum.js';
import { frontDoor, letter } from '../helpers/dead-letters.js';
import { leftName, memoryDir } from '../helpers/left-files.js';
import { eventText } from '../helpers/running-forebay.js';
import { peakOf } from '../helpers/tool-memory.js';

const MIB = 1024 * 1024;
const NAME = leftName(1);
const ids = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_each, n) => `e${from + n}`);

void t.test('the log tool takes no more memory for a large file than a few parts of it', async (t) => {
  const dir = memoryDir(t);
  const fd = openSync(join(dir, NAME), 'w');
  const some = ids(0, 1000).map((id) => markedLine(eventText(id, 'x'.repeat(900))));
  const lines = [...some, 'damaged\n'].join('');
  for (let bytes = 0; bytes < 160 * MIB; bytes += lines.length) writeSync(fd, lines);
  closeSync(fd);
  for (const [code, most, ...command] of [
    [0, 260, 'ls'],
    [1, 260, 'verify'],
    [1, 260, 'cat'],
    [0, 150, 'cat', '--raw'],
  ] as const) {
    const ran = await peakOf('bin/log.js', ...command, '--log-dir', dir);
    t.equal(ran.code, code, command.join(' '));
    t.ok(ran.peak < most, `${command.join(' ')}: ${ran.peak} MiB`);
  }
});

void t.test('the tool for dead letters takes no more memory for a large file than a few parts', async (t) => {
  const dir = memoryDir(t);
  mkdirSync(join(dir, 'dead-letters'));
  const fd = openSync(join(dir, 'dead-letters', NAME), 'w');
  const data = 'x'.repeat(900);
  const lines = Array.from({ length: 1000 }, (_each, n) => letter(n, n === 9 ? 'few' : 'many', data)).join(
    '',
  );
  let few = 0;
  for (let bytes = 0; bytes < 160 * MIB; bytes += lines.length) {
    writeSync(fd, lines);
    few++;
  }
  closeSync(fd);
  let taken = 0;
  const url = await frontDoor(t, (sent) => {
    taken += sent.length;
    return 202;
  });
  for (const command of [
    ['ls'],
    ['show'],
    ['redrive', '--reason', 'few', '--url', url.href],
    ['drop', '--reason', 'many', '--yes'],
  ]) {
    const ran = await peakOf('bin/dead-letters.js', ...command, '--log-dir', dir);
    t.equal(ran.code, 0, command.join(' '));
    t.ok(ran.peak < 260, `${command.join(' ')}: ${ran.peak} MiB`);
  }
  t.equal(taken, few);
  t.same(readdirSync(join(dir, 'dead-letters')), ['.lock']);
});
