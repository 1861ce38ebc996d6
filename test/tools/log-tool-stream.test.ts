import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import type { Test } from 'tap';
import { markedLine } from '../../lib/logs/file/checksum.js';
import { RestingStreams } from '../../lib/logs/jetstream/resting-streams.js';
import { fromObject } from '../../lib/settings/option-table.js';
import { LOG_SETTINGS } from '../../lib/settings/log-settings.js';
import { LOG_TOOL } from '../../tools/log/tool.js';
import { LogStreams } from '../helpers/log-streams.js';
import { NatsCluster } from '../helpers/nats-cluster.js';
import { tempDir } from '../helpers/temp-dir.js';
import { printed, runHere, runProcess } from '../helpers/tool-run.js';
import type { Ran } from '../helpers/tool-run.js';

const skip = NatsCluster.missing();
const starting = skip === false ? NatsCluster.start(t) : null;
const made = async (t: Test): Promise<LogStreams> => LogStreams.made(t, await cluster());

async function cluster(): Promise<NatsCluster> {
  if (starting === null) throw new Error(String(skip));
  return starting;
}

const text = (id: string): string => JSON.stringify({ id, type: 't', data: 'é', timestamp: 1 });
const line = (id: string): Buffer => Buffer.from(markedLine(text(id)));
const lines = (...ids: readonly string[]): Buffer => Buffer.concat(ids.map(line));
const ndjson = (...ids: readonly string[]): string => ids.map((id) => `${text(id)}\n`).join('');
const LENGTH = line('a').length;

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

const tool = async ({ flags }: LogStreams, ...args: readonly string[]): Promise<Ran> =>
  runHere(LOG_TOOL, [...args, ...flags]);

/** Puts a message of events into the stream. */
async function put(streams: LogStreams, data: Buffer, events: number): Promise<number> {
  return streams.put(`${streams.names.events}.${events}`, data);
}

/** Takes a message as an instance does, and keeps it. @returns where it is handed back */
async function take({ nc, names }: LogStreams): Promise<string> {
  const subject = `$JS.API.CONSUMER.MSG.NEXT.${names.events}.${names.consumer}`;
  // its answer has the subject of the message
  const answer = await nc.request(subject, JSON.stringify({ batch: 1 }), { noMux: true, timeout: 10_000 });
  return answer.reply ?? '';
}

void t.test('ls shows the streams, their copies, and what delivery has of them', { skip }, async (t) => {
  const streams = await made(t);
  const { names, nc } = streams;
  await put(streams, lines('a', 'b'), 2);
  await put(streams, lines('c'), 1);
  await streams.put(`${names.letters}.7.0`, '{}\n');
  await streams.put(`${names.quarantine}.7`, 'garbage\n');
  const back = await take(streams);
  await take(streams);
  nc.publish(back, '-NAK');
  await take(streams);
  const { code, out } = await tool(streams, 'ls');
  t.equal(code, 0);
  const row = (name: string, messages: number, events: string): RegExp =>
    new RegExp(`^${name} +${messages} +${events} +[1-9][0-9]* +[0-9]+s +1 of 1 +n1$`, 'm');
  t.match(out, /^STREAM +MESSAGES +EVENTS +BYTES +OLDEST +REPLICAS +LEADER\n/);
  t.match(out, row(names.events, 2, '3'));
  t.match(out, row(names.letters, 1, '1'));
  t.match(out, row(names.quarantine, 1, '-'));
  t.match(out, /^2 messages handed out, 1 of them redelivered$/m);
  t.match(out, /^1 dead letter: see .*dead-letters.* ls$/m);
  const json = (await tool(streams, 'ls', '--json')).out.trimEnd().split('\n');
  t.match(
    json.map((each) => JSON.parse(each) as object),
    [
      { kind: 'stream', holds: 'events', messages: 2, events: 3, leader: 'n1', handedOut: 2, redelivered: 1 },
      { kind: 'stream', holds: 'deadLetters', messages: 1, events: 1, replicas: 1, handedOut: null },
      { kind: 'stream', holds: 'quarantine', name: names.quarantine, messages: 1, events: null },
    ],
  );
});

void t.test('verify reads what rests, and takes nothing from delivery', { skip }, async (t) => {
  const streams = await made(t);
  const { names, jsm } = streams;
  for (let n = 1; n <= 40; n++) await put(streams, lines('a', 'b'), 2);
  // what was delivered leaves gaps, longer than what is asked for at once
  for (let seq = 2; seq <= 30; seq++) await jsm.streams.deleteMessage(names.events, seq);
  const before = await jsm.consumers.info(names.events, names.consumer);
  printed(t, await tool(streams, 'verify'), {
    code: 0,
    out: `Read 11 messages with 22 sound events, ${22 * LENGTH} bytes: all are sound\n`,
    err: '',
  });
  const after = await jsm.consumers.info(names.events, names.consumer);
  t.match(after, {
    delivered: before.delivered,
    num_ack_pending: 0,
    num_pending: before.num_pending,
    num_waiting: 0,
  });
  t.equal((await jsm.consumers.list(names.events).next()).length, 1, 'and has no consumer of its own');
  t.equal(await streams.messagesOf(names.events), 11);
});

void t.test('ids are counted, and are neither events nor damage', { skip }, async (t) => {
  const streams = await made(t);
  const { names } = streams;
  await streams.put(`${names.events}.secret.id`, 'x'.repeat(16));
  for (let n = 1; n <= 100; n++) {
    await streams.put(`${names.events}.id.number-${n}`, 'x'.repeat(16));
    if (n % 40 === 0) await put(streams, lines(`event-${n}`), 1);
  }
  const { out } = await tool(streams, 'ls');
  t.match(out, /^100 ids of events that were stored within an id window$/m);
  t.match(out, new RegExp(`^${names.events} +2 +2 +[0-9]+ +[0-9]+s +1 of 1 +n1$`, 'm'));
  const [first] = (await tool(streams, 'ls', '--json')).out.split('\n');
  t.match(JSON.parse(first ?? ''), { messages: 2, events: 2, ids: 100 });
  t.match((await tool(streams, 'verify')).out, /^Read 2 messages with 2 sound events/);
  t.equal((await tool(streams, 'cat')).out, ndjson('event-40', 'event-80'));
});

void t.test('verify names each damage with its message, line and byte', { skip }, async (t) => {
  const streams = await made(t);
  const { names } = streams;
  await put(streams, lines('a'), 1);
  await put(streams, Buffer.concat([line('a'), flipped(line('b'), 9), line('c')]), 3);
  await put(streams, flipped(lines('a', 'b'), LENGTH - 1), 2);
  await put(streams, lines('a'), 2);
  await put(streams, flipped(lines('a'), LENGTH - 1), 1);
  await streams.put(`${names.quarantine}.99`, 'garbage\n');
  const { code, out } = await tool(streams, 'verify');
  t.equal(code, 1);
  t.same(out.trimEnd().split('\n'), [
    `${names.events}: message 2, line 2, byte ${LENGTH}: the mark does not fit (${LENGTH} bytes)`,
    `${names.events}: message 3, line 1, byte 0: the mark does not fit (${2 * LENGTH} bytes)`,
    `${names.events}: message 3, 0 sound events and 1 damaged line, of 2 events`,
    `${names.events}: message 4, 1 sound event and 0 damaged lines, of 2 events`,
    `${names.events}: message 5, line 1, byte 0: the last line break is lost; the event before it is sound`,
    `Read 5 messages with 5 sound events, ${8 * LENGTH} bytes: 4 messages are damaged (2 lines)`,
    `1 message in ${names.quarantine}: damage that was set aside`,
  ]);
});

void t.test('cat prints the events of all messages, or of those that are named', { skip }, async (t) => {
  const streams = await made(t);
  const { names } = streams;
  await put(streams, lines('a', 'b'), 2);
  const damaged = Buffer.concat([flipped(line('x'), 9), line('c')]);
  await put(streams, damaged, 2);
  await put(streams, lines('d'), 1);
  await streams.put(`${names.quarantine}.1`, 'other\n');
  await streams.put(`${names.quarantine}.2`, flipped(line('x'), 9));
  const all = await tool(streams, 'cat');
  t.same([all.code, all.out], [1, ndjson('a', 'b', 'c', 'd')]);
  t.match(all.err, `${names.events}: message 2, 1 damaged line left out (--raw prints them)\n`);
  printed(t, await tool(streams, 'cat', 'events_3', 'events_1'), { code: 0, out: ndjson('d', 'a', 'b') });
  printed(t, await tool(streams, 'cat', 'events_2-3'), { code: 1, out: ndjson('c', 'd') });
  printed(t, await tool(streams, 'cat', '--raw', 'events_2'), { code: 0, out: damaged.toString() });
  const aside = await tool(streams, 'cat', '--raw', 'quarantine/2');
  printed(t, aside, { code: 0, out: flipped(line('x'), 9).toString() });
  const every = await tool(streams, 'cat', '--raw', 'quarantine');
  printed(t, every, { code: 0, out: `other\n${flipped(line('x'), 9).toString()}` });
  const gone = await tool(streams, 'cat', 'events_3', 'events_4-9');
  t.match(gone, { code: 1, out: ndjson('d'), err: /events_4-9: there is no such message/ });
  t.match(await tool(streams, 'cat', 'batch_20250101_000000_1.jsonl'), { code: 78, err: /events_120-163/ });
});

void t.test(
  'compressed messages are read as others are, and so is what is left of damaged ones',
  { skip },
  async (t) => {
    const streams = await made(t);
    const { names } = streams;
    const ids = Array.from({ length: 50 }, (_each, n) => `${n}`);
    const plain = lines(...ids);
    const compressed = gzipSync(plain, { level: 1 });
    const damaged = Buffer.from(compressed).fill(0, compressed.length / 2, compressed.length - 8);
    await put(streams, compressed, 50);
    printed(t, await tool(streams, 'verify'), {
      code: 0,
      out: `Read 1 message with 50 sound events, ${plain.length} bytes: all are sound\n`,
      err: '',
    });
    printed(t, await tool(streams, 'cat'), { code: 0, out: ndjson(...ids) });
    printed(t, await tool(streams, 'cat', '--raw'), { code: 0, out: plain.toString() });
    await put(streams, damaged, 50);
    // only the checksum of all: each line is sound
    await put(streams, flipped(compressed, compressed.length - 6), 50);
    const { code, out } = await tool(streams, 'verify');
    t.equal(code, 1);
    const texts = out.trimEnd().split('\n');
    t.equal(
      texts[0],
      `${names.events}: message 2, its compressed lines are damaged: what follows is of those that can be read`,
    );
    t.match(texts.at(-3), /message 2, [1-9][0-9]? sound events and [0-9]+ damaged lines?, of 50 events$/);
    t.match(texts.at(-2), /message 3, its compressed lines are damaged/);
    t.match(texts.at(-1), /^Read 3 messages with 1[0-4][0-9] sound events, .*: 2 messages are damaged/);
    const read = await tool(streams, 'cat', 'events_2');
    t.equal(read.code, 1);
    t.match(read.err, /message 2, damaged compressed lines: what cannot be read is left out/);
    t.ok(read.out.startsWith(ndjson('0', '1')));
    const args = ['bin/log.js', 'cat', '--raw', 'events_2', ...streams.flags];
    t.ok(execFileSync(process.execPath, args).equals(damaged));
  },
);

void t.test('what an earlier build took for damage is printed from the quarantine', { skip }, async (t) => {
  const streams = await made(t);
  const { names } = streams;
  printed(t, await tool(streams, 'cat', 'quarantine'), { code: 0, out: '', err: '' });
  const ids = Array.from({ length: 50 }, (_each, n) => `${n}`);
  await streams.put(`${names.quarantine}.7`, gzipSync(lines(...ids)));
  await streams.put(`${names.quarantine}.9`, gzipSync(lines('a', 'b')));
  printed(t, await tool(streams, 'cat', 'quarantine'), { code: 0, out: ndjson(...ids, 'a', 'b'), err: '' });
  await streams.put(`${names.quarantine}.12`, flipped(line('x'), 9));
  const { code, out, err } = await tool(streams, 'cat', 'quarantine');
  t.same([code, out], [1, ndjson(...ids, 'a', 'b')]);
  t.match(err, `${names.quarantine}: message 12, 1 damaged line left out`, 'by its number among the events');
});

void t.test('messages that are delivered meanwhile are no error', { skip }, async (t) => {
  const streams = await made(t);
  const { names, jsm, url, logName } = streams;
  for (let n = 1; n <= 50; n++) await put(streams, lines('a'), 1);
  const resting = await RestingStreams.open(fromObject(LOG_SETTINGS, { logUrl: url, logName }));
  t.teardown(async () => resting.close());
  const seen: number[] = [];
  for await (const { seq } of resting.messages(names.events)) {
    seen.push(seq);
    if (seq > 1) continue;
    for (let gone = 20; gone <= 45; gone++) await jsm.streams.deleteMessage(names.events, gone);
    await put(streams, lines('later'), 1);
  }
  t.same(seen.slice(0, 1), [1]);
  t.same(seen.slice(-5), [46, 47, 48, 49, 50], 'those that came later are not read');
  t.same(
    seen,
    [...new Set(seen)].toSorted((a, b) => a - b),
  );
  t.notOk(seen.includes(45));
});

void t.test('a directory on the command line is meant, whatever the variables say', { skip }, async (t) => {
  const streams = await made(t);
  const { names } = streams;
  await put(streams, lines('a'), 1);
  const environment = {
    FOREBAY_LOG: 'jetstream',
    FOREBAY_LOG_URL: streams.url,
    FOREBAY_LOG_NAME: streams.logName,
  };
  printed(t, await runProcess(process.execPath, ['bin/log.js', 'cat'], environment), {
    code: 0,
    out: ndjson('a'),
    err: '',
  });
  const dir = join(tempDir(t), 'log');
  mkdirSync(dir);
  const listed = await runHere(LOG_TOOL, ['ls', '--log-dir', dir], { environment });
  t.match(listed, { code: 0, out: /^No batch files in / });
  t.notMatch(listed.out, names.events);
});

void t.test(
  'what cannot be asked is said in one line, with the exit code of its kind',
  { skip },
  async (t) => {
    const streams = await LogStreams.at(t, await cluster());
    printed(t, await tool(streams, 'ls'), {
      code: 2,
      err: `forebay-log: There is no stream ${streams.names.events} on the NATS servers: no server with --log jetstream has made it\n`,
    });
    const nobody = ['--log', 'jetstream', '--log-url', 'nats://127.0.0.1:1'];
    t.match(await runHere(LOG_TOOL, ['verify', ...nobody]), {
      code: 2,
      err: /^forebay-log: No NATS server of --log-url takes the connection: .*\n$/,
    });
    t.match(await tool(streams, 'ls', '--log-tls-cert', 'none.pem'), { code: 78, err: /--log-tls-key/ });
    t.match(await tool(streams, 'ls', '--log-tls-ca', 'none.pem'), {
      code: 78,
      err: /--log-tls-ca cannot be read/,
    });
  },
);
