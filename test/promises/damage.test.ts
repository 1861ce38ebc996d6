import { lstatSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { request } from 'undici';
import { markedLine } from '../../lib/logs/file/checksum.js';
import { accountFor, FILE, LINES, named, TEXTS } from '../helpers/accounted-files.js';
import { heldDisk } from '../helpers/held-disk.js';
import {
  batchFiles,
  leftName,
  memoryDir,
  noise,
  pieces,
  readQuarantine,
  startOn,
} from '../helpers/left-files.js';
import { addsUp, eventText, idsOf, startForebay, until } from '../helpers/running-forebay.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';
import { damageSweeps } from './damage-sweeps.js';

// of each sweep every seventh case, which takes each bit of a byte in turn; all of them: damage.proof.ts
damageSweeps(7);

void t.test('a page of zeros in the middle takes the lines it touches, and no others', async (t) => {
  const lines = Array.from({ length: 180 }, (_, n) => LINES[n % 3] ?? Buffer.alloc(0));
  const file = Buffer.concat(lines);
  t.ok(file.length > 3 * 4096);
  const variants = [0, 4096, 8192].map((page) => Buffer.from(file).fill(0, page, page + 4096));
  const files = named(variants);
  accountFor(t, files, await startOn(t, files));
});

void t.test('an empty file is deleted, and nothing is said of it', async (t) => {
  const { said, dir, forebay, sink } = await startOn(t, new Map([[leftName(1), '']]));
  t.same(sink.attempts, []);
  t.same(batchFiles(dir), []);
  t.ok(said.every(({ level }) => level === 'info'));
  t.match(forebay.counts(), { accepted: 0, pending: 0, unreadBatches: 0 });
});

void t.test(
  'what is no event at all is set aside whole, byte for byte, with one line in the log',
  async (t) => {
    const files = named([
      noise(1, 5000),
      Buffer.from(noise(2, 5000).map((byte) => (byte === 10 ? 11 : byte))),
      noise(3, 5000).fill(10, 4000, 4001),
      Buffer.concat([Buffer.from('\x7fELF\x02\x01\x01'), noise(4, 300)]),
      Buffer.from('id,type,data\r\n1,t,"x"\r\n2,t,"y"\r\n'),
      Buffer.from('{\n  "name": "forebay",\n  "id": 1\n}\n'),
      Buffer.from('[{"id":"a","type":"t","data":1}]\n'),
      Buffer.from('{"id":"a","type":"t"}\n{"id":"","type":"t","data":1}\n"text"\n5\nnull\n'),
      // the mark is sound and its text no event: only another program writes that
      Buffer.from('\ufeff\ufeff{"id":"a","type":"t","data":1}\n'),
    ]);
    const outcome = await startOn(t, files);
    for (const [name, file] of files) {
      t.same(
        outcome.quarantine.get(name),
        file,
        `${JSON.stringify(file.toString('latin1', 0, 30))} is set aside`,
      );
      t.equal(outcome.complaints.get(name)?.length, 1);
    }
    t.same(outcome.sink.attempts, []);
    t.same(batchFiles(outcome.dir), []);
    addsUp(t, outcome.forebay);
  },
);

void t.test(
  'a file without line feed that no crash can have left is set aside, however it begins',
  async (t) => {
    const files = named([
      Buffer.from('{"name":"forebay"}'),
      Buffer.from('{"id":"a","type":"t","data":1}\n{"id":"b","type":"t"}'),
    ]);
    const { quarantine } = await startOn(t, files);
    t.equal(quarantine.size, 2);
  },
);

void t.test('events that were written by hand, without marks, are delivered', async (t) => {
  const lines = [eventText('a'), eventText('b', 'x  '), '{ "data" : null, "type": "t", "id": "\u{e9}" }'];
  const files = new Map([
    [leftName(1), `${lines.join('\n')}\n`],
    [leftName(2), lines.join('\n')],
    [leftName(3), `${lines.join('\r\n')}\r\n`],
  ]);
  const { delivered, quarantine, forebay } = await startOn(t, files);
  t.equal(delivered.get(leftName(1)), `${lines.join('\n')}\n`);
  t.equal(delivered.get(leftName(2)), `${lines.join('\n')}\n`);
  t.equal(delivered.get(leftName(3)), `${lines.join('\r\n')}\r\n`);
  t.equal(quarantine.size, 0);
  t.match(forebay.counts(), { accepted: 9, delivered: 9 });
});

void t.test('white space of whoever writes by hand or edits is no damage', async (t) => {
  const [a, b] = [eventText('a'), eventText('b')];
  const mark = '\ufeff';
  const files = new Map<string, string | Buffer>([
    [leftName(1), `${a}\n${b}${' '.repeat(40)}\n`],
    [leftName(2), `${a}${' '.repeat(40)}`],
    [leftName(3), `${a}${'\t'.repeat(20)}${' '.repeat(20)}\n${b}\n`],
    [leftName(4), `${mark}${a}\n${b}\n`],
    [leftName(5), `${mark}${a}`],
    [leftName(6), `\n${a}\n  \n\r\n${b}\n\n\t`],
    [leftName(7), Buffer.concat([Buffer.from(mark), FILE])],
    [leftName(8), '\n\n\n'],
    [leftName(9), '\r\n \n'],
    [leftName(10), ' '],
    [leftName(11), mark],
    [leftName(12), `${a}${' '.repeat(40)}\n${b}${' '.repeat(33)}\n`],
    [leftName(13), `${' '.repeat(40)}\n${a}\n`],
  ]);
  const { delivered, quarantine, complaints, dir, forebay } = await startOn(t, files);
  const texts = (n: number): string[] =>
    (delivered.get(leftName(n)) ?? '')
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '');
  for (const n of [1, 3, 4, 6, 12]) t.same(texts(n), [a, b], String(files.get(leftName(n))));
  for (const n of [2, 5, 13]) t.same(texts(n), [a], String(files.get(leftName(n))));
  t.same(texts(7), TEXTS, 'also with marks');
  for (const n of [8, 9, 10, 11]) t.notOk(delivered.has(leftName(n)));
  t.equal(quarantine.size, 0);
  // a last line without its line feed is said, as before
  t.same([...complaints.keys()].toSorted(), [leftName(2), leftName(5)].toSorted());
  t.same(batchFiles(dir), []);
  t.match(forebay.counts(), { accepted: 16, delivered: 16 });
});

void t.test('a single line of Forebay that was altered is set aside, although it is JSON', async (t) => {
  const line = Buffer.from(LINES[0] ?? '');
  line.write('X', line.indexOf('"', 7) - 1);
  const { quarantine, sink } = await startOn(t, new Map([[leftName(1), line]]));
  t.same(quarantine.get(leftName(1)), line);
  t.same(sink.attempts, []);
});

void t.test('a folder or a link with the name of a batch file is named and left alone', async (t) => {
  const dir = memoryDir(t);
  const elsewhere = join(tempDir(t), 'events.jsonl');
  writeFileSync(elsewhere, FILE);
  mkdirSync(join(dir, leftName(1)));
  symlinkSync(elsewhere, join(dir, leftName(2)));
  symlinkSync(join(dir, 'nowhere'), join(dir, leftName(3)));
  writeFileSync(join(dir, leftName(4)), FILE);
  const { sink, said, forebay } = await startForebay(t, { logDir: dir });
  t.same(sink.lines, TEXTS);
  for (const n of [1, 2, 3]) {
    const warnings = said.filter(({ level, text }) => level === 'warn' && text.includes(leftName(n)));
    t.equal(warnings.length, 1);
    t.ok(lstatSync(join(dir, leftName(n))));
  }
  t.same(readFileSync(elsewhere), FILE);
  t.match(forebay.counts(), { accepted: 3, delivered: 3 });
});

void t.test(
  'files are delivered by time, then number, whatever their order on disk, gaps and clock',
  async (t) => {
    const inOrder = [
      'batch_19991231_235959_7.jsonl',
      'batch_20250101_000000_2.jsonl',
      'batch_20250101_000000_10.jsonl',
      'batch_20250101_000000_1000.jsonl',
      'batch_20250101_000001_1.jsonl',
      'batch_29990101_000000_3.jsonl',
      'batch_29990101_000000_12.jsonl',
    ];
    const files = inOrder.toReversed().map((name) => [name, markedLine(eventText(name))] as const);
    const { sink, forebay } = await startOn(t, new Map(files));
    t.same(idsOf(sink.lines), inOrder);
    await forebay.write(eventText('new'));
    await sink.received(inOrder.length + 1);
    t.equal(
      sink.batches.at(-1)?.name,
      'batch_29990101_000000_13.jsonl',
      'the new one comes after the future',
    );
  },
);

for (const method of ['open', 'lstat'] as const) {
  void t.test(
    `a file whose ${method} fails holds up no start and no other file, and is delivered when it can be`,
    async (t) => {
      const dir = memoryDir(t);
      const bad = join(dir, leftName(2));
      for (const n of [1, 2, 3]) writeFileSync(join(dir, leftName(n)), markedLine(eventText(`${n}`)));
      let sound = false;
      const disk = heldDisk();
      const fs = Object.create(disk.fs) as typeof disk.fs;
      const real = disk.fs[method] as (...args: unknown[]) => void;
      const value = (path: string, ...rest: unknown[]): void => {
        const done = rest.at(-1) as (error: Error) => void;
        if (path === bad && !sound) setImmediate(done, Object.assign(new Error('EIO'), { code: 'EIO' }));
        else real(path, ...rest);
      };
      Object.defineProperty(fs, method, { value });
      const { sink, forebay } = await startForebay(t, { logDir: dir, fs });
      const atOnce = method === 'open' ? ['1', '3'] : ['1', '2', '3'];
      await sink.received(atOnce.length);
      t.same(idsOf(sink.lines), atOnce);
      sound = true;
      await sink.received(3);
      await until(() => forebay.counts().delivered === 3, 'delivered');
      addsUp(t, forebay);
    },
  );
}

void t.test(
  'a server process delivers what is sound in damaged files, sets the rest aside and goes on',
  async (t) => {
    const dir = tempDir(t);
    const log = join(dir, 'log');
    const sinkFile = join(dir, 'sink.jsonl');
    mkdirSync(log);
    const flipped = Buffer.from(FILE);
    const at = (LINES[0]?.length ?? 0) + 3;
    flipped.writeUInt8(flipped.readUInt8(at) ^ 4, at);
    const garbage = noise(6, 3000);
    const contents = [flipped, FILE.subarray(0, FILE.length - 40), garbage, Buffer.alloc(0), FILE];
    for (const [name, content] of named(contents)) writeFileSync(join(log, name), content);
    const server = await ServerProcess.start('--log-dir', log, '--sink', 'file', '--sink-file', sinkFile);
    const sound = [TEXTS[0], TEXTS[2], TEXTS[0], TEXTS[1], ...TEXTS];
    t.equal(readFileSync(sinkFile, 'utf8'), sound.map((text) => `${text}\n`).join(''));
    t.same(
      readQuarantine(log),
      new Map([
        [leftName(1), pieces(flipped)[1]],
        [leftName(3), garbage],
      ]),
    );
    t.same(batchFiles(log), []);
    const { body } = await request(`http://127.0.0.1:${server.port}/health`);
    const damaged = 1 + pieces(garbage).length;
    t.match(await body.json(), {
      status: 'ok',
      events: { accepted: 7 + damaged, delivered: 7, deadLettered: 0, quarantined: damaged, pending: 0 },
    });
    for (const n of [1, 2, 3]) {
      const name = leftName(n);
      t.equal(server.lines.filter((line) => /WARN|ERROR/.test(line) && line.includes(name)).length, 1, name);
    }
    t.equal(await server.stop('SIGTERM'), 0);
  },
);

void t.test('many foreign files are one line, which counts them and names a few', async (t) => {
  const dir = memoryDir(t);
  for (let n = 0; n < 3000; n++) writeFileSync(join(dir, `notes-${n}.txt`), '');
  const { said } = await startForebay(t, { logDir: dir });
  const warnings = said.filter(({ level }) => level !== 'info');
  t.equal(warnings.length, 1);
  t.match(warnings[0]?.text, /^Not batch files, left alone: .*notes-\d+\.txt, .* and 2995 more$/);
});
