import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { markedLine } from '../../../lib/logs/file/checksum.js';
import { leftName } from '../../helpers/left-files.js';
import { eventText } from '../../helpers/running-forebay.js';
import { tempDir } from '../../helpers/temp-dir.js';

/** Node.js finds no native lock, as on a system that has no build of it. */
const WITHOUT_LOCK =
  'data:text/javascript,import m from "node:module";const find=m._resolveFilename;m._resolveFilename=function(name,...rest){if(name==="fs-native-extensions")throw new Error(`Cannot find ${name}`);return find.call(this,name,...rest)}';

/** The library takes the system for Alpine, and looks for a build for musl. */
const ON_ALPINE =
  'data:text/javascript,import fs from "node:fs";const is=fs.existsSync;fs.existsSync=(path)=>path==="/etc/alpine-release"||is(path)';

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function runAfter(preload: string, ...args: string[]): Promise<Ran> {
  return new Promise((done) => {
    execFile(process.execPath, ['--import', preload, ...args], (error, out, err) => {
      done({ code: typeof error?.code === 'number' ? error.code : 0, out, err });
    });
  });
}

const runWithout = async (...args: string[]): Promise<Ran> => runAfter(WITHOUT_LOCK, ...args);

const NO_LOCK =
  /there is no native lock for this system \(\w+-\w+\); on Linux it needs glibc, and Alpine has musl: .*\(Cannot find fs-native-extensions\)/;

void t.test('without a native lock nothing is changed that needs it, and all else works', async (t) => {
  const dir = tempDir(t);
  const letters = join(dir, 'dead-letters');
  mkdirSync(letters);
  writeFileSync(join(dir, leftName(1)), markedLine(eventText('a')));
  const letter = `{"batch":"b","index":0,"reason":"r","status":1,"attempts":1,"time":"2025-01-01T00:00:00.000Z","event":${eventText('b')}}\n`;
  writeFileSync(join(letters, leftName(9)), letter);
  const at = ['--log-dir', dir];

  const started = await runWithout('bin/server.js', '--port', '0', ...at);
  t.match(started, { code: 1 });
  t.match(started.out + started.err, NO_LOCK);
  t.match(started.out + started.err, 'cannot be used: ');
  t.notMatch(started.out + started.err, /^ +at /m, 'without a stack');
  t.match(await runWithout('bin/server.js', '--help'), { code: 0, err: '' });

  t.match(await runWithout('bin/log.js', 'verify', ...at), { code: 0, out: /all are sound/ });
  t.match(await runWithout('bin/log.js', 'cat', ...at), { code: 0, out: `${eventText('a')}\n` });
  t.match(await runWithout('bin/dead-letters.js', 'show', ...at), { code: 0, out: letter });
  t.match(await runWithout('bin/dead-letters.js', 'drop', '--yes', ...at), { code: 2, err: NO_LOCK });
  t.ok(readdirSync(dir).includes(leftName(1)));
  t.ok(readdirSync(letters).includes(leftName(9)), 'nothing is lost');
});

void t.test(
  'on Alpine the library finds no build, and the start says so',
  { skip: process.platform === 'linux' ? false : 'only Linux has musl' },
  async (t) => {
    const { code, out, err } = await runAfter(
      ON_ALPINE,
      'bin/server.js',
      '--port',
      '0',
      '--log-dir',
      tempDir(t),
    );
    t.equal(code, 1);
    t.match(
      out + err,
      /cannot be used: there is no native lock for this system .* Alpine has musl: .*\(Cannot find/,
    );
    t.notMatch(out + err, /^ +at /m, 'without a stack');
  },
);
