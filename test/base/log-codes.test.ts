import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import t from 'tap';
import type { Test } from 'tap';
import { markedLine } from '../../lib/logs/file/checksum.js';
import { ERRORS } from '../../lib/base/errors.js';
import type { ForebayOptions } from '../../lib/forebay.js';
import { SinkError } from '../../lib/seams/sink-error.js';
import { shownError, withoutEvents } from '../../lib/delivery/redaction.js';
import { batchOfLines } from '../helpers/batches.js';
import { CollectingSink } from '../helpers/collecting-sink.js';
import { heldDisk } from '../helpers/held-disk.js';
import { leftName } from '../helpers/left-files.js';
import { buildForebay, codeOf, eventText, until } from '../helpers/running-forebay.js';
import type { RunningForebay } from '../helpers/running-forebay.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';

const codes = Object.keys(ERRORS);
/** Lines that an operator has caused by a second signal: there is nothing to act on. */
const NO_CODE = /logger\.error\(\{ signal \}/;

interface JsonLine {
  readonly level: string;
  readonly msg: string;
  readonly code?: string;
}

/** A Forebay whose lines are kept as pino writes them. */
function logged(
  t: Test,
  options: Partial<Omit<ForebayOptions, 'sink'>> = {},
  sink?: CollectingSink,
): RunningForebay & { readonly text: () => string; readonly complaints: () => readonly JsonLine[] } {
  const written: string[] = [];
  const logger = pino(
    { base: null, level: 'debug', formatters: { level: (level) => ({ level }) } },
    { write: (line: string) => written.push(line) },
  );
  const running = buildForebay(t, { ...options, logger }, sink);
  const complaints = (): JsonLine[] =>
    written.map((line) => JSON.parse(line) as JsonLine).filter(({ level }) => level !== 'info');
  return { ...running, text: () => written.join(''), complaints };
}

void t.test('every line that warns has a code, and every code stands in the table of errors', (t) => {
  let lines = 0;
  for (const path of readdirSync('lib', { recursive: true, encoding: 'utf8' })) {
    if (!path.endsWith('.ts')) continue;
    const text = readFileSync(join('lib', path), 'utf8');
    for (const [call = '', args = ''] of text.matchAll(/logger\.(?:warn|error)\(\s*(.{0,60})/g)) {
      lines++;
      if (path === 'base/reporter.ts' || NO_CODE.test(call)) continue;
      t.match(args, /^\{ code: ?('|error\.code|this\.#errors\.)/, `${path}: ${call}`);
    }
    for (const [, code = ''] of text.matchAll(/\bcode: '([A-Z_]+)'/g))
      t.ok(codes.includes(code), `${path}: ${code}`);
  }
  t.ok(lines > 7);
  t.end();
});

void t.test('what goes wrong in a run is told with its code', async (t) => {
  const dir = tempDir(t);
  const [sound, other] = [markedLine(eventText('a')), markedLine(eventText('b'))];
  writeFileSync(join(dir, leftName(1)), `damage\n${sound}`);
  writeFileSync(join(dir, leftName(2)), `${sound}${other.slice(0, 10)}`);
  writeFileSync(join(dir, 'notes.txt'), 'mine');
  const disk = heldDisk();
  const { forebay, sink, complaints } = logged(t, { logDir: dir, fs: disk.fs, replayWaitMs: 600_000 });
  await forebay.start();
  const seen = (): Record<string, number> => {
    const counts: Record<string, number> = {};
    for (const { code = 'none' } of complaints()) counts[code] = (counts[code] ?? 0) + 1;
    return counts;
  };
  t.same(seen(), { FOREIGN_FILE: 1, BATCH_DAMAGED: 1, BATCH_TORN: 1 });
  disk.fail('write', 'ENOSPC');
  t.equal(await codeOf(forebay.write(eventText('c'))), 'LOG_FAILED');
  disk.fail('write', null);
  t.equal(seen()['LOG_FAILED'], 2, 'the trouble, and the events');
  sink.error = new SinkError('no', { status: 400, refused: 'all' });
  await forebay.write(eventText('d'));
  await until(() => forebay.counts().deadLettered === 1, 'a dead letter');
  sink.error = new SinkError('later', { status: 503, retryAfterMs: 3_600_000 });
  await forebay.write(eventText('e'));
  await until(() => forebay.sinkState()?.breaker === 'open', 'the breaker is open');
  await until(() => 'DELIVERY_FAILED' in seen(), 'it is told');
  t.match(seen(), { DEAD_LETTERS: 1, SINK_DOWN: 1, DELIVERY_FAILED: 1 });
  for (const { code = 'none', msg } of complaints()) t.ok(codes.includes(code), `${code}: ${msg}`);
});

void t.test('dead letters that are full at a start have their code, and keep no door shut', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, leftName(1)), markedLine(eventText('a', 'x'.repeat(2000))));
  mkdirSync(join(dir, 'dead-letters'));
  writeFileSync(join(dir, 'dead-letters', leftName(2)), 'x');
  const sink = new CollectingSink();
  sink.error = new SinkError('no', { status: 400, refused: 'all' });
  const { forebay, complaints } = logged(t, { logDir: dir, deadLettersBytesMax: 1024 }, sink);
  await forebay.start();
  const seen = new Set(complaints().map(({ code }) => code));
  t.same(seen, new Set(['DEAD_LETTERS', 'DEAD_LETTERS_FULL']));
});

void t.test('a delivery that fails at start has its code', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, leftName(1)), markedLine(eventText('a')));
  const sink = new CollectingSink();
  sink.error = new SinkError('not now', { status: 503 });
  const { forebay, complaints } = logged(t, { logDir: dir }, sink);
  await forebay.start();
  const seen = new Set(complaints().map(({ code }) => code));
  t.same(seen, new Set(['DELIVERY_FAILED', 'REPLAY_BEHIND']));
});

void t.test('a sink that is set up wrongly has its code, loudly, and makes no dead letters', async (t) => {
  const sink = new CollectingSink();
  sink.error = new SinkError('the sink answered 401', { status: 401, misconfigured: true });
  const { forebay, complaints } = logged(t, {}, sink);
  await forebay.start();
  await forebay.write(eventText('a'));
  // on a slow machine there is the next attempt already
  await until(() => complaints().length >= 2, 'both lines');
  t.same(
    complaints()
      .slice(0, 2)
      .map(({ level, code }) => [level, code]),
    [
      ['error', 'SINK_MISCONFIGURED'],
      ['warn', 'SINK_MISCONFIGURED'],
    ],
    'the breaker, and the batch',
  );
  t.match(forebay.sinkState(), { breaker: 'open', misconfigured: true, lastError: 'the sink answered 401' });
  t.match(forebay.counts(), { deadLettered: 0, pending: 1 });
});

void t.test('no line has what a sink quotes of an event', async (t) => {
  const sink = new CollectingSink();
  const { forebay, text, complaints, dir } = logged(t, {}, sink);
  await forebay.start();
  const event = JSON.stringify({
    id: 'evt-77',
    type: 'card',
    data: { owner: 'Ada Lovelace', card: '4111222' },
  });
  const quotes = 'no evt-77 for "Ada Lovelace": bad value 4111222 in column card of relation events';
  // as a driver of a database does it
  const driven = Object.assign(new Error(quotes), {
    code: '22P02',
    detail: 'Failing row contains (Lovelace)',
  });
  sink.error = new SinkError(quotes, { status: 500, cause: driven });
  await forebay.write(event);
  await until(() => complaints().length > 0, 'a SinkError');
  sink.error = driven;
  await until(() => forebay.sinkState()?.breaker === 'open', 'an error of a driver');
  const { lastError } = forebay.sinkState() ?? {};
  sink.error = new SinkError(quotes, { status: 422, refused: 'all' });
  await until(() => forebay.counts().deadLettered === 1, 'a refusal');
  for (const word of ['evt-77', 'Ada', 'Lovelace', '4111222']) {
    t.notOk(text().includes(word), word);
    t.notOk(lastError?.includes(word), `${word} in lastError`);
  }
  const shown = 'no … for "… …": bad value … in column … of relation events';
  const delivery = complaints().filter(({ msg }) => msg.startsWith('Delivery failed'));
  t.ok(delivery.length > 1);
  for (const line of delivery) t.ok(line.msg.includes(shown), line.msg);
  t.equal(lastError, shown);
  t.ok(complaints().some(({ msg }) => msg.startsWith('Dead lettered') && msg.includes(shown)));
  t.match(text(), /"code":"22P02"/, 'the code of the database stays');
  const [name = ''] = readdirSync(join(dir, 'dead-letters'));
  const letter = readFileSync(join(dir, 'dead-letters', name), 'utf8');
  t.equal((JSON.parse(letter) as { reason: string }).reason, quotes, 'a dead letter has it whole');
});

void t.test('words that stand in an event are hidden, others stay', (t) => {
  const batch = {
    bytes: Buffer.from(
      '{"id":"evt-1","type":"signup","data":{"mail":"a.b@example.com","n":503,"s":"Jürgen"}}\n',
    ),
  };
  const cases: readonly (readonly [string, string])[] = [
    ['no evt-1', 'no …'],
    ['evt-1, evt-2', '…, …-2'],
    ['key=evt-1:signup', 'key=…:…'],
    ['mail a.b@example.com is known', '… … is known'],
    ['Jürgen', '…'],
    ['connect ECONNREFUSED 127.0.0.1:9000', 'connect ECONNREFUSED 127.0.0.1:9000'],
    ['type and data', 'type and data'],
    ['50 and 3', '50 and 3'],
    ['exampl', '…'],
    ['sign', 'sign'],
    ['', ''],
  ];
  for (const [said, shown] of cases) t.equal(withoutEvents(said, batch), shown, said);
  t.equal(
    withoutEvents('the sink answered 503', batch, 503),
    'the sink answered 503',
    'the status is its own',
  );
  t.equal(withoutEvents('the sink answered 503', batch), 'the sink answered …');
  t.equal(withoutEvents('x y '.repeat(1000), batch), `${'x y '.repeat(125)}…`);
  t.equal(
    withoutEvents(`${'x y '.repeat(124)}Jürgen`, batch),
    `${'x y '.repeat(124)}…`,
    'cut off within a word',
  );
  t.equal(withoutEvents('Jürg… is long', batch), '… is long', 'which the sink has cut off');
  t.equal(withoutEvents('no\u001b[31m\r\nTLS\n', batch), 'no [31m TLS ', 'a log line is one line');
  t.end();
});

void t.test('a word behind an escape stands alone, too', (t) => {
  for (const before of ['\t', '\n', '\r', '\b', '\f', '\u0001', '"', '\\'])
    t.equal(
      withoutEvents('pin 4321 is wrong', { bytes: Buffer.from(JSON.stringify(`pin${before}4321`)) }),
      '… … is wrong',
      JSON.stringify(before),
    );
  t.equal(withoutEvents('no 432', { bytes: Buffer.from('{"at":1432}') }), 'no 432');
  t.end();
});

void t.test(
  'a large batch is looked through for so long and no longer: words that are left are hidden',
  (t) => {
    const batch = { bytes: Buffer.alloc(4 * 1024 * 1024, 'a') };
    t.equal(withoutEvents('zzz aaa', batch), 'zzz …');
    t.equal(
      withoutEvents('aaa zzz', batch),
      '… …',
      'at each place of the first the word does not stand alone',
    );
    t.equal(withoutEvents('zzz '.repeat(100), batch), 'zzz '.repeat(100), 'a word is looked for once');
    const words = Array.from({ length: 20 }, (_, n) => `z${n}z`);
    t.match(withoutEvents(words.join(' '), batch), /^z0z … .* … … …$/);
    t.end();
  },
);

void t.test('an error is shown with what the breaker needs, and with its calls', (t) => {
  const batch = batchOfLines(['{"id":"evt-1"}']);
  const error = new SinkError('no evt-1\nevt-1\n  at evt-1', { status: 429, retryAfterMs: 7 });
  const shown = shownError(error, batch);
  t.match(shown, { message: 'no … …   at …', status: 429, retryAfterMs: 7 });
  t.ok(shown instanceof SinkError);
  t.match(shown.stack, /^SinkError: no … … {3}at …\n +at /);
  t.notMatch(shown.stack, /evt-1/);
  const noStack = new Error('evt-1');
  delete noStack.stack;
  t.equal(shownError(noStack, batch).stack, 'Error: …');
  t.end();
});

void t.test('as JSON, lines of the server have their codes, also why it does not start', async (t) => {
  const flags = ['--log-format', 'json', '--log-dir', tempDir(t)];
  const server = new ServerProcess(['--port', '0', ...flags]);
  t.match(JSON.parse(await server.line(/keeps nothing/)), { level: 'warn', code: 'SINK_SIMULATED' });
  const { port } = JSON.parse(await server.line(/IngestionServer started/)) as { port: number };
  const second = new ServerProcess(['--port', String(port), '--log-format', 'json', '--log-dir', tempDir(t)]);
  t.equal(await second.exited, 1);
  t.match(JSON.parse(second.stderr), { level: 'error', code: 'PORT_UNAVAILABLE', msg: /in use/ });
  const wrong: [string[], string][] = [
    [['--port', '0', ...flags], 'LOG_DIR_LOCKED'],
    [['--port', 'x', ...flags], 'SETTING_INVALID'],
    [['--log-format=json', '--no-such-flag'], 'SETTING_INVALID'],
    [['--port', '0', ...flags, '--sink', 'file', '--sink-file', tempDir(t)], 'SINK_UNUSABLE'],
  ];
  for (const [given, code] of wrong) {
    const other = new ServerProcess(given);
    t.equal(await other.exited, code === 'SETTING_INVALID' ? 78 : 1);
    t.match(JSON.parse(other.stderr), { level: 'error', code });
  }
  const variable = new ServerProcess(['--port', 'x'], { FOREBAY_LOG_FORMAT: 'json' });
  t.equal(await variable.exited, 78);
  t.match(JSON.parse(variable.stderr), { code: 'SETTING_INVALID', msg: /^--port must be/ });
  t.equal(await server.stop('SIGTERM'), 0);
});

void t.test(
  'a disk that is full for long is one line when it starts, however many events it refuses',
  async (t) => {
    const disk = heldDisk();
    const { forebay, complaints } = logged(t, { fs: disk.fs });
    await forebay.start();
    disk.fail('write', 'ENOSPC');
    for (let n = 0; n < 60; n++) t.equal(await codeOf(forebay.write(eventText(`e${n}`))), 'LOG_FAILED');
    const lines = complaints().filter(({ code }) => code === 'LOG_FAILED');
    t.equal(lines.length, 2, 'the trouble, and the first events');
    t.equal(forebay.recentBatches().recent.events.filter(({ what }) => what === 'not appended').length, 60);
    t.equal(forebay.statistics()?.failedEvents, 60);
    disk.fail('write', null);
    t.equal(await codeOf(forebay.write(eventText('well'))), null);
  },
);

void t.test('what a search for quoted events costs is bounded by what it looks through', (t) => {
  const small = { bytes: Buffer.from(`{"id":"secret-word","data":"${'x'.repeat(1000)}"}`) };
  t.equal(withoutEvents('cannot take secret-word', small), 'cannot take …');
  // what is not looked through is not shown
  const large = { bytes: Buffer.alloc(64 * 1024 * 1024, 'x') };
  t.equal(withoutEvents('overloaded', large), '…');
  const startMs = performance.now();
  withoutEvents('many words that are not in there at all '.repeat(10), large);
  t.comment(`${(performance.now() - startMs).toFixed(1)} ms`);
  t.end();
});
