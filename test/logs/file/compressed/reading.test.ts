import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import zlib, { gzipSync } from 'node:zlib';
import t from 'tap';
import type { Test } from 'tap';
import { AppendLog } from '../../../../lib/logs/file/append-log.js';
import { Reporter, silentLogger } from '../../../../lib/base/reporter.js';
import { markedLine } from '../../../../lib/logs/file/checksum.js';
import { codecOf, ZSTD_NODE } from '../../../../lib/logs/file/compressed/codec.js';
import type { Codec } from '../../../../lib/logs/file/compressed/codec.js';
import { CompressedView } from '../../../../lib/logs/file/compressed/compressed-view.js';
import { writeMember } from '../../../../lib/logs/file/compressed/member.js';
import { nodeFileSystem, withOpen } from '../../../../lib/logs/file/file-system.js';
import { FILE_BOUNDS } from '../../../../lib/logs/file/large-file.js';
import type { FileBounds } from '../../../../lib/logs/file/large-file.js';
import type { Batch } from '../../../../lib/seams/batch.js';
import { toolFileSystem } from '../../../../tools/log/tool-file-system.js';
import { LOG_TOOL } from '../../../../tools/log/tool.js';
import { compressed, membersOf, RUN, severalBatches } from '../../../helpers/compressed-files.js';
import { leftName, memoryDir, readQuarantine } from '../../../helpers/left-files.js';
import { eventText, idsOf, startForebay, until } from '../../../helpers/running-forebay.js';
import { runHere } from '../../../helpers/tool-run.js';

const NAME = leftName(1);
/** Without it, `.zst` files cannot be made here. */
const noZstd = zlib.zstdCompress === undefined ? `zstd needs Node.js ${ZSTD_NODE}` : false;

interface Read {
  readonly log: AppendLog;
  readonly events: number;
  /** By their keys. */
  readonly batches: ReadonlyMap<string, Batch>;
}

async function read(t: Test, dir: string, fileBounds: FileBounds = FILE_BOUNDS): Promise<Read> {
  const log = await AppendLog.open({ dir, fsync: 'never', reporter: new Reporter(), fileBounds });
  t.teardown(() => log.close());
  const pending = await log.list(null, 10);
  t.equal(pending.length, 1, 'it is one batch file');
  const [first] = pending;
  if (first === undefined) throw new Error('no file');
  const stored = await log.read(first);
  const batches = new Map<string, Batch>();
  for (let index = 0; index < Math.max(1, stored.pieces.length); index++) {
    const batch = await stored.piece(index);
    batches.set(batch.key, batch);
  }
  return { log, events: stored.events, batches };
}

const linesOf = ({ bytes }: Batch): string[] => bytes.toString().split('\n').slice(0, -1);
const keysAndLines = ({ batches }: Read): unknown =>
  [...batches].map(([key, batch]) => [key, batch.name, ...linesOf(batch)]);
const allIds = ({ batches }: Read): string[] =>
  [...batches.values()].flatMap((batch) => idsOf(linesOf(batch)));

const FILES: Readonly<Record<string, string>> = {
  'one batch': Array.from({ length: 300 }, (_, n) =>
    markedLine(eventText(`e${n}`, 'x'.repeat(100)), n === 0 ? RUN : null),
  ).join(''),
  'several batches': severalBatches(30, 20, 100),
  'several batches and members': severalBatches(40, 20, 1000),
};
const BOUNDS: Readonly<Record<string, FileBounds>> = {
  whole: FILE_BOUNDS,
  'in pieces': { wholeMax: 20_000, piece: 5000, lineMax: 10_000 },
};

for (const [what, lines] of Object.entries(FILES)) {
  for (const [how, bounds] of Object.entries(BOUNDS)) {
    void t.test(
      `a compressed file of ${what}, read ${how}, has the batches and keys of the file that it was`,
      async (t) => {
        const [dir, plain] = [memoryDir(t), memoryDir(t)];
        for (const each of [dir, plain]) writeFileSync(join(each, NAME), lines);
        const path = await compressed(join(dir, NAME));
        t.equal(execFileSync('gzip', ['-dc', path], { maxBuffer: 1e9 }).toString(), lines, 'zcat reads it');
        if (what.includes('members')) t.ok(membersOf(path).length > 2);
        t.same(keysAndLines(await read(t, dir, bounds)), keysAndLines(await read(t, plain, bounds)));
      },
    );
  }
}

void t.test(
  'damage in a compressed file costs what it meets: the rest is delivered, and its bytes are set aside',
  async (t) => {
    const lines = severalBatches(40, 20, 1000);
    const all = idsOf(
      lines
        .split('\n')
        .slice(0, -1)
        .map((line) => line.replace(/\s*$/, '')),
    );
    const sound = memoryDir(t);
    writeFileSync(join(sound, NAME), lines);
    await compressed(join(sound, NAME));
    const file = readFileSync(join(sound, `${NAME}.gz`));
    const members = membersOf(join(sound, `${NAME}.gz`));
    const keys = new Set((await read(t, sound)).batches.keys());
    const places = members.flatMap(({ at, bytes }) => [
      at,
      at + 2,
      at + 13,
      at + 20,
      at + 46,
      at + 60,
      at + (bytes >> 1),
      at + bytes - 6,
      at + bytes - 1,
    ]);
    for (const place of places) {
      const dir = memoryDir(t);
      const flipped = Buffer.from(file);
      flipped[place] = (flipped[place] ?? 0) ^ 0x10;
      writeFileSync(join(dir, `${NAME}.gz`), flipped);
      const found = await read(t, dir);
      const index = members.findLastIndex(({ at }) => at <= place);
      const { at, bytes, lines: hit } = members[index] ?? { at: 0, bytes: 0, lines: 0 };
      t.ok(found.events >= all.length - hit, `byte ${place}: at most a member is lost`);
      t.equal(found.events + found.log.quarantined, all.length, `byte ${place}: the counts add up`);
      const ids = allIds(found);
      t.same(
        ids,
        all.filter((id) => ids.includes(id)),
        `byte ${place}: in order, and each once`,
      );
      const isMet = found.events < all.length;
      const aside = Buffer.concat([...readQuarantine(dir).values()]);
      if (isMet)
        t.ok(aside.includes(flipped.subarray(at, at + bytes)), `byte ${place}: the member is set aside`);
      const own = [...found.batches].filter(([key]) => !keys.has(key));
      const others = own.filter(([, batch]) => batch.events === 20);
      t.same(others, [], `byte ${place}: whole batches keep their keys`);
    }
  },
);

void t.test('of a compressed file that someone has cut, what is left is delivered', async (t) => {
  const lines = severalBatches(40, 20, 1000);
  const sound = memoryDir(t);
  writeFileSync(join(sound, NAME), lines);
  const file = readFileSync(await compressed(join(sound, NAME)));
  const members = membersOf(join(sound, `${NAME}.gz`));
  for (const size of [1, 40, 1000, members[1]?.at ?? 0, (members[1]?.at ?? 0) + 20, file.length - 1]) {
    const dir = memoryDir(t);
    writeFileSync(join(dir, `${NAME}.gz`), file.subarray(0, size));
    const found = await read(t, dir);
    const whole = members
      .filter(({ at, bytes }) => at + bytes <= size)
      .reduce((sum, each) => sum + each.lines, 0);
    t.ok(found.events >= whole, `${size} bytes: ${found.events} events, at least ${whole}`);
    t.ok(found.events === 800 || found.log.quarantined > 0, `${size} bytes: it is damage`);
  }
});

void t.test(
  'a file that someone has compressed by hand is read; one that holds too much stays, and is named',
  async (t) => {
    const dir = memoryDir(t);
    const lines = FILES['one batch'] ?? '';
    writeFileSync(join(dir, `${NAME}.gz`), gzipSync(lines));
    const bounds = { wholeMax: lines.length, piece: 5000, lineMax: 10_000 };
    const plain = memoryDir(t);
    writeFileSync(join(plain, NAME), lines);
    t.same(keysAndLines(await read(t, dir, bounds)), keysAndLines(await read(t, plain, bounds)));
    const large = memoryDir(t);
    writeFileSync(join(large, `${NAME}.gz`), gzipSync(Buffer.alloc(100 * lines.length, 'x')));
    await t.rejects(read(t, large, bounds), { message: /hold too much .* as Forebay did not write them/ });
    t.same(
      readdirSync(large).filter((name) => name.startsWith('batch')),
      [`${NAME}.gz`],
    );
  },
);

void t.test('a file of many lines that are no events leaves others their turns', async (t) => {
  const lines = 5000;
  const line = `{${'x'.repeat(40)}}\n`; // as long as an event, so that each is parsed
  let [parsed, most] = [0, 0];
  const { parse } = JSON;
  JSON.parse = (text: string): unknown => {
    most = Math.max(most, ++parsed);
    return parse(text);
  };
  t.teardown(() => (JSON.parse = parse));
  for (const [what, name] of Object.entries({ compressed: `${NAME}.gz`, 'as it is': NAME })) {
    const dir = memoryDir(t);
    const file = Buffer.from(line.repeat(lines) + eventText('e'));
    writeFileSync(join(dir, name), name === NAME ? file : gzipSync(file));
    [parsed, most] = [0, 0];
    let isReading = true;
    const turn = (): void => {
      parsed = 0;
      if (isReading) setImmediate(turn);
    };
    turn();
    const { log, events } = await read(t, dir);
    isReading = false;
    t.match({ events, quarantined: log.quarantined }, { events: 1, quarantined: lines }, what);
    t.ok(most > 0 && most < lines / 2, `${what}: at most ${most} lines are parsed in a turn`);
    t.same([...readQuarantine(dir).values()], [file.subarray(0, lines * line.length)], 'each is set aside');
  }
});

void t.test(
  'without zstd a .zst file stays, is named with what reads it, and holds up no other',
  async (t) => {
    if (noZstd === false) return t.end();
    const dir = memoryDir(t);
    writeFileSync(join(dir, `${leftName(1)}.zst`), Buffer.from('28b52ffd', 'hex'));
    writeFileSync(join(dir, leftName(2)), markedLine(eventText('other')));
    const { forebay, sink, said } = await startForebay(t, { logDir: dir, replayWaitMs: 1 });
    await sink.received(1);
    const isSaid = (): boolean => said.some(({ text }) => text.includes('cannot be read: others go first'));
    await until(isSaid, 'it has left its place');
    const line = said.find(({ text }) => text.includes('zstd'))?.text ?? '';
    t.match(line, leftName(1));
    t.match(line, ZSTD_NODE);
    t.ok((forebay.statistics()?.deliveryFailures ?? 0) > 0);
    await until(() => forebay.counts().pending === 0, 'the other is off the log');
    t.match(forebay.counts(), { unreadBatches: 1, quarantined: 0 });
    t.ok(existsSync(join(dir, `${leftName(1)}.zst`)));
    t.notOk(existsSync(join(dir, 'quarantine')));
    const { code, out } = await runHere(LOG_TOOL, ['ls', '--log-dir', dir]);
    t.equal(code, 1);
    t.match(out, ZSTD_NODE);
  },
);

void t.test('with zstd a file is compressed and read as with gzip', { skip: noZstd }, async (t) => {
  const lines = FILES['several batches and members'] ?? '';
  const [dir, plain] = [memoryDir(t), memoryDir(t)];
  for (const each of [dir, plain]) writeFileSync(join(each, NAME), lines);
  const path = await compressed(join(dir, NAME), '.zst');
  t.same(keysAndLines(await read(t, dir)), keysAndLines(await read(t, plain)));
  const flipped = readFileSync(path);
  const [first] = membersOf(path, '.zst');
  flipped[100] = (flipped[100] ?? 0) ^ 0x10;
  const damaged = memoryDir(t);
  writeFileSync(join(damaged, `${NAME}.zst`), flipped);
  const found = await read(t, damaged);
  t.ok(found.events >= 800 - (first?.lines ?? 0) && found.events < 800);
  t.equal(found.events + found.log.quarantined, 800);
});

void t.test(
  'a head of zstd that is damaged is set aside with its lines, also if it is the only one',
  { skip: noZstd },
  async (t) => {
    const dir = memoryDir(t);
    writeFileSync(join(dir, NAME), FILES['one batch'] ?? '');
    const path = await compressed(join(dir, NAME), '.zst');
    t.equal(membersOf(path, '.zst').length, 2, 'one with lines, and the last one');
    const flipped = readFileSync(path);
    flipped[20] = (flipped[20] ?? 0) ^ 0x10;
    writeFileSync(path, flipped);
    const { log } = await read(t, dir);
    t.equal(log.quarantined, 300);
    t.same([...readQuarantine(dir).keys()], [`${NAME}.zst`]);
  },
);

void t.test('the last line feed of a member may be damaged: the next one keeps its lines', async (t) => {
  const { fs, path } = { fs: nodeFileSystem, path: join(memoryDir(t), `${NAME}.gz`) };
  const gzip = codecOf('.gz');
  // lines as they are, so that single bytes of them can be damaged
  const compress: Codec['compress'] = async (head, lines) =>
    Promise.resolve(Buffer.concat([head, gzipSync(lines, { level: 0 }).subarray(10)]));
  const lines = [0, 1, 2, 3].map((n) => markedLine(eventText(`e${n}`)));
  const halves = [lines.slice(0, 2).join(''), lines.slice(2).join('')].map((half) => Buffer.from(half));
  const fileBytes = lines.join('').length;
  const file: Buffer[] = [];
  for (const [index, half] of [...halves, Buffer.alloc(0)].entries()) {
    const linesAt = index * (halves[0]?.length ?? 0);
    const about = { linesAt: Math.min(linesAt, fileBytes), fileBytes, linesBefore: 2 * index };
    file.push(await writeMember({ ...gzip, compress }, half, { ...about, lines: half.length > 0 ? 2 : 0 }));
  }
  const bytes = Buffer.concat(file);
  const first = bytes.indexOf('e0');
  bytes[first] = 0x0a;
  bytes[bytes.indexOf('\n', bytes.indexOf('e1'))] = 0x78;
  writeFileSync(path, bytes);
  await withOpen(fs, path, async (fd, { size }) => {
    const setAside = async (): Promise<void> => undefined;
    const view = await CompressedView.open(fs, fd, size, '.gz', { foreignMax: 1000, setAside });
    const found = (await view.readAt(0, view.size)).toString().split('\n');
    t.same(
      found.slice(2),
      [...lines.slice(2).map((line) => line.slice(0, -1)), ''],
      'the lines of the second one, at their places',
    );
  });
});

void t.test(
  'of a batch whose file is there twice one counts, and both are gone with the batch',
  async (t) => {
    const lines = FILES['several batches'] ?? '';
    const both = async (): Promise<{ dir: string; path: string }> => {
      const dir = memoryDir(t);
      const path = join(dir, NAME);
      writeFileSync(path, lines);
      copyFileSync(path, `${path}.kept`);
      await compressed(path);
      copyFileSync(`${path}.kept`, path);
      rmSync(`${path}.kept`);
      return { dir, path };
    };
    await t.test('the one as it was appended, if it is sound: the other goes at once', async (t) => {
      const { dir, path } = await both();
      const { log } = await read(t, dir);
      t.notOk(existsSync(`${path}.gz`));
      t.match(log, { leftoverBatches: 1, pendingEvents: 600, quarantined: 0 });
    });
    await t.test('the compressed one, if a power cut has taken the end of the other', async (t) => {
      const { dir, path } = await both();
      writeFileSync(path, lines.slice(0, lines.indexOf('\n', lines.length / 2) + 1));
      const { log, events } = await read(t, dir);
      t.equal(events, 600);
      t.match(log, { leftoverBatches: 1, pendingEvents: 600, quarantined: 0 });
    });
    await t.test('the compressed one, if the other is not sound', async (t) => {
      const { dir, path } = await both();
      writeFileSync(path, '');
      const { forebay, sink } = await startForebay(t, { logDir: dir, replayWaitMs: 600_000 });
      t.equal(sink.lines.length, 600);
      t.match(forebay.counts(), { accepted: 600, delivered: 600, quarantined: 0, pending: 0 });
      t.equal(forebay.statistics()?.pendingBytes, 0);
      t.notOk(existsSync(path) || existsSync(`${path}.gz`), 'both are gone');
    });
    await t.test('if neither is, the compressed one is set aside byte for byte', async (t) => {
      const { dir, path } = await both();
      const file = readFileSync(`${path}.gz`);
      file[file.length >> 1] = (file[file.length >> 1] ?? 0) ^ 1;
      writeFileSync(`${path}.gz`, file);
      writeFileSync(path, lines.replace('e7', 'e_'));
      const { log } = await read(t, dir);
      t.equal(log.quarantined, 1);
      t.same(readQuarantine(dir).get(`${NAME}.gz`), file);
      t.notOk(existsSync(`${path}.gz`));
    });
  },
);

void t.test(
  'a compressed file beside a directory of its name waits, and the log says for what',
  async (t) => {
    const dir = memoryDir(t);
    const path = join(dir, NAME);
    writeFileSync(path, FILES['several batches'] ?? '');
    await compressed(path);
    mkdirSync(path);
    const lines: string[] = [];
    const reporter = new Reporter({ ...silentLogger, error: (_about, text) => void lines.push(text) });
    const log = await AppendLog.open({ dir, fsync: 'never', reporter });
    t.teardown(() => log.close());
    t.same(await log.list(null, 10), []);
    t.ok(
      lines.some((text) => text.includes(`the events of ${NAME}.gz wait`)),
      lines.join('\n'),
    );
    t.ok(existsSync(`${path}.gz`));
  },
);

void t.test('a small compressed file of millions of lines does not hold up the server', async (t) => {
  const dir = memoryDir(t);
  writeFileSync(join(dir, `${NAME}.gz`), gzipSync('\n x\r\n'.repeat(100_000)));
  const parse = t.capture(JSON, 'parse', JSON.parse);
  const { log } = await read(t, dir);
  t.equal(log.quarantined, 200_000, 'each line');
  const parsed = parse().filter(({ args: [text] }) => text.trim() === 'x');
  t.equal(parsed.length, 0, 'what is no object is not parsed');
});

void t.test('the log tool reads compressed files, and says what is wrong in them', async (t) => {
  const dir = memoryDir(t);
  const lines = severalBatches(40, 20, 1000);
  writeFileSync(join(dir, NAME), lines);
  const path = await compressed(join(dir, NAME));
  const tool = async (...argv: string[]) =>
    runHere(LOG_TOOL, [...argv, '--log-dir', dir], { fs: toolFileSystem });
  const ls = await tool('ls', '--json');
  const row = JSON.parse(ls.out.split('\n')[0] ?? '') as object;
  t.match(row, { name: NAME, events: 800, batches: 40, compressed: '.gz', lineBytes: lines.length });
  t.match((await tool('ls')).out, /\.gz, \d+ bytes of lines, 40 batches/);
  const texts = lines
    .split('\n')
    .map((line) => line.replace(/\s*$/, ''))
    .join('\n');
  t.equal((await tool('cat')).out, texts);
  t.equal((await tool('cat', `${NAME}#21-40`)).out, `${texts.split('\n').slice(20, 40).join('\n')}\n`);
  t.equal((await tool('cat', '--raw', NAME)).out, lines);
  t.match(await tool('verify'), { code: 0, out: /800 sound events, .*all are sound/ });
  const file = readFileSync(path);
  const [, second] = membersOf(path);
  file.fill(0, (second?.at ?? 0) + 60, (second?.at ?? 0) + 70);
  writeFileSync(path, file);
  const verify = await tool('verify');
  t.equal(verify.code, 1);
  t.match(verify.out, /lost with damaged compressed bytes/);
  t.notOk(existsSync(join(dir, 'quarantine')), 'it changes nothing');
});
