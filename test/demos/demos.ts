/** The two demos of the README, with everything that they show held against what their users know. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../helpers/free-port.js';
import { until } from '../helpers/wait-for.js';
import { Program } from './program.js';

export interface DemoOptions {
  /** An empty folder. */
  readonly dir: string;
  /** Takes each line that the demo shows. */
  readonly show: (line: string) => void;
}

/** A line that is not what it should be. */
export class DemoError extends Error {}

const PRODUCER_MS = 180_000;
const BATCH = /^batch_\d{8}_\d{6}_\d+\.jsonl$/;
const EVENTS = 200;
const KILL_AT = 150;
const ATTEMPTS_MAX = 3;

class KilledLate extends Error {}

/** 90 seconds of crash recovery. A machine that is too busy to kill the server in the middle gets another chance. */
export async function crashDemo({ dir, show }: DemoOptions): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const attemptDir = join(dir, String(attempt));
    mkdirSync(attemptDir);
    try {
      await crashOnce({ dir: attemptDir, show });
      return;
    } catch (error) {
      if (!(error instanceof KilledLate) || attempt === ATTEMPTS_MAX) throw error;
      show('The server was killed after the last event, not in the middle: once more.');
    }
  }
}

async function crashOnce({ dir, show }: DemoOptions): Promise<void> {
  const port = await freePort();
  const at = ['--port', String(port)];
  const down = ['--sink-failure-rate', '1', '--batch-wait', '10s'];
  show(`$ node bin/server.js ${down.join(' ')}`);
  const first = new Program(dir, 'server', [...down, ...at]);
  const started = `IngestionServer started on port ${port}`;
  await first.line(started);
  expectLines(first.lines, [
    /^Forebay .*, sink simulated, fsync always$/,
    /^WARN SINK_SIMULATED The simulated sink keeps nothing/,
    'AppendLog initialized: ./append-log',
    'Replaying pending batches...',
    'No pending batches to replay',
    started,
  ]);
  for (const line of first.lines) show(line);

  const accepted = join(dir, 'accepted.txt');
  const idsOfAccepted = (): string[] => (existsSync(accepted) ? lines(accepted) : []);
  show('$ node bin/producer.js --rate=50 --burst=200 --accepted accepted.txt, and kill -9 in the middle');
  const url = ['--url', `http://localhost:${port}`];
  const producer = new Program(dir, 'producer', ['--rate=50', '--burst=200', '--accepted', accepted, ...url]);
  await until(() => idsOfAccepted().length >= KILL_AT, `${KILL_AT} events are accepted`, PRODUCER_MS);
  await first.end('SIGKILL');
  await producer.end();
  if (idsOfAccepted().length === EVENTS) throw new KilledLate();
  const wrote = first.lines.filter((line) => line.startsWith('Wrote batch to: '));
  expectLines(wrote, [/^Wrote batch to: batch_\d{8}_\d{6}_1\.jsonl \(100 events\)$/]);
  show(wrote.join(''));
  const statistics = statisticsIn(producer.output, show);
  expect(statistics.sent === EVENTS, 'Total sent: 200');
  expect(
    statistics.errors > 0 && statistics.accepted >= KILL_AT,
    'some were accepted, the others are errors',
  );
  expect(producer.code === 1, 'the producer says by its exit code that not all were answered');

  const toFile = ['--sink', 'file', '--sink-file', 'delivered.jsonl'];
  show(`$ node bin/server.js ${toFile.join(' ')}`);
  const second = new Program(dir, 'server', [...toFile, ...at]);
  await second.line(started);
  for (const line of second.lines) show(line);
  const replayed = second.lines.flatMap(
    (line) => /^Replaying batch: (\S+) \(\d+ events\)$/.exec(line)?.[1] ?? [],
  );
  expect(replayed.length === 2 && replayed.every((name) => BATCH.test(name)), 'two batches are replayed');
  const [one = '', two = ''] = replayed;
  const rest = /^Replaying batch: \S+ \((\d+) events\)$/.exec(second.lines[7] ?? '')?.[1];
  expectLines(second.lines, [
    /^Forebay .*, sink file, fsync always$/,
    'AppendLog initialized: ./append-log',
    'Replaying pending batches...',
    'Found 2 pending batches',
    `Replaying batch: ${one} (100 events)`,
    'SinkAPI: Successfully sent batch (100 events)',
    `Successfully replayed and deleted: ${one}`,
    `Replaying batch: ${two} (${rest} events)`,
    `SinkAPI: Successfully sent batch (${rest} events)`,
    `Successfully replayed and deleted: ${two}`,
    'Replay complete',
    started,
  ]);
  await second.end('SIGTERM');
  expect(second.code === 0, 'the server stops in order');
  const delivered = new Set(
    lines(join(dir, 'delivered.jsonl')).map((line) => (JSON.parse(line) as { id: string }).id),
  );
  const missing = idsOfAccepted().filter((id) => !delivered.has(id));
  show(`accepted: ${idsOfAccepted().length}, delivered: ${delivered.size}, missing: ${missing.length}`);
  expect(missing.length === 0, 'missing: 0');
}

/** Backpressure: a flood at a server with its default settings. */
export async function floodDemo({ dir, show }: DemoOptions): Promise<void> {
  const port = await freePort();
  show('$ node bin/server.js');
  const server = new Program(dir, 'server', ['--port', String(port)]);
  await server.line(`IngestionServer started on port ${port}`);
  const flags = ['--rate=5000', '--burst=50000', '--workers=10'];
  show(`$ node bin/producer.js ${flags.join(' ')}`);
  const producer = new Program(dir, 'producer', [...flags, '--url', `http://localhost:${port}`]);
  await producer.end();
  const { sent, accepted, backpressure, errors } = statisticsIn(producer.output, show);
  expect(sent === 50_000 && accepted + backpressure === sent, 'each event was accepted or refused');
  expect(accepted > 0, 'some were accepted');
  expect(errors === 0 && producer.code === 0, `no errors, exit code 0: ${producer.code} ${producer.errors}`);
  const kinds = ['Wrote batch to: ', 'SinkAPI: Successfully sent batch (', 'Deleted batch file: '];
  for (const kind of kinds)
    expect(
      server.lines.some((line) => line.startsWith(kind)),
      kind,
    );
  await server.end('SIGTERM');
  expect(server.code === 0, 'the server stops in order');

  show('$ node bin/server.js, right after it');
  const beforeMs = performance.now();
  const next = new Program(dir, 'server', ['--port', String(port)]);
  await next.line(`IngestionServer started on port ${port}`, 35_000);
  show(`takes events after ${Math.round(performance.now() - beforeMs)} ms`);
  await next.end('SIGTERM');
}

const RULE = '='.repeat(40);

/** The block at the end of a run of the producer, in the form that its users know. */
function statisticsIn(
  output: string,
  show: (line: string) => void,
): { sent: number; accepted: number; backpressure: number; errors: number } {
  const block = output.split('\n').slice(0, 10);
  for (const line of block) show(line);
  expectLines(block, [
    RULE,
    'Producer Statistics',
    RULE,
    /^Total sent: \d+$/,
    /^Accepted \(202\): \d+$/,
    /^Backpressure \(429\): \d+$/,
    /^Errors: \d+$/,
    /^Duration: \d+ ms$/,
    /^Throughput: \d+ events\/sec$/,
    RULE,
  ]);
  const [sent = 0, accepted = 0, backpressure = 0, errors = 0] = block
    .slice(3, 7)
    .map((line) => Number(/\d+$/.exec(line)?.[0]));
  return { sent, accepted, backpressure, errors };
}

function expectLines(given: readonly string[], wanted: readonly (string | RegExp)[]): void {
  for (const [index, want] of wanted.entries()) {
    const line = given[index] ?? '(none)';
    if (typeof want === 'string' ? line !== want : !want.test(line))
      throw new DemoError(`line ${index + 1} is "${line}", not ${want}, in:\n${given.join('\n')}`);
  }
  if (given.length !== wanted.length)
    throw new DemoError(`${given.length} lines, not ${wanted.length}:\n${given.join('\n')}`);
}

function expect(holds: boolean, what: string): void {
  if (!holds) throw new DemoError(`does not hold: ${what}`);
}

function lines(path: string): string[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
}
