import { join } from 'node:path';
import { contest, contestRows } from './contest.js';
import type { Side } from './contest.js';
import { spread } from './numbers.js';
import { requirement } from './requirement.js';
import { bareServer, forebay } from './server-under-test.js';
import type { ServerCommand } from './server-under-test.js';
import { table } from './table.js';
import type { Workbench } from './workbench.js';
import { singleEvents } from './wrk.js';

const CONNECTIONS = 64;
const EVENT_BYTES = 200;
/** What the project allows to grow old of a request, in bytes. */
const OLD_BYTES_MOST = 30;

/** What V8 says of a collection (`--trace-gc-nvp`). */
const COLLECTION = / pause=([\d.]+) .* gc=(\w+) .* promoted=(\d+) /;

/** The collections of a server since it was asked last. */
class Collections {
  #pausesMs: number[] = [];
  #fullMs: number[] = [];
  #oldBytes = 0;

  /** The server, made to report its collections. */
  of(command: ServerCommand): ServerCommand {
    const onLine = (line: string): void => {
      const [, pause, kind, promoted] = COLLECTION.exec(line) ?? [];
      if (pause === undefined) return;
      (kind === 's' ? this.#pausesMs : this.#fullMs).push(Number(pause));
      this.#oldBytes += Number(promoted);
    };
    return { ...command, args: ['--trace-gc-nvp', ...command.args], onLine };
  }

  take() {
    const taken = { scavengesMs: this.#pausesMs, fullMs: this.#fullMs, oldBytes: this.#oldBytes };
    this.#pausesMs = [];
    this.#fullMs = [];
    this.#oldBytes = 0;
    return taken;
  }
}

/** What a turn of a server took. */
interface Turn {
  /** Of each request, in bytes. */
  readonly oldBytes: number;
  /** Per 100,000 requests. */
  readonly scavenges: number;
  readonly full: number;
  /** Of a scavenge, in milliseconds. */
  readonly scavengeMs: number;
  /** Processor time of a request, in microseconds. */
  readonly cpuUs: number;
}

/**
 * How much of each request outlives two scavenges, although it lives a millisecond: what is old is collected by full
 * collections only, and those are what the slowest requests wait for.
 */
export async function survivors(bench: Workbench, rounds: number, seconds: number): Promise<void> {
  const watched = [
    bareServer(),
    forebay(join(bench.dir, 'survivors')),
    forebay(join(bench.dir, 'survivors-never'), { fsync: 'never' }),
  ].map((command) => ({ command, collections: new Collections() }));
  const servers = await bench.start(watched.map(({ command, collections }) => collections.of(command)));
  const turns: Turn[][] = servers.map(() => []);
  const sides = servers.map((server, index): Side => {
    const around: Side['around'] = async (turn) => {
      const collections = watched[index]?.collections;
      const cpuMs = server.cpuMs();
      collections?.take();
      const run = await turn();
      const { scavengesMs = [], fullMs = [], oldBytes = 0 } = collections?.take() ?? {};
      const { answered } = run;
      turns[index]?.push({
        oldBytes: oldBytes / answered,
        scavenges: (scavengesMs.length * 100_000) / answered,
        full: (fullMs.length * 100_000) / answered,
        scavengeMs: scavengesMs.reduce((sum, ms) => sum + ms, 0) / Math.max(1, scavengesMs.length),
        cpuUs: ((server.cpuMs() - cpuMs) * 1000) / answered,
      });
      return run;
    };
    return { name: server.name, server, around };
  });
  const newLoad = () => singleEvents(CONNECTIONS, EVENT_BYTES);
  const contestants = await contest(sides, newLoad, rounds, seconds, bench.signal);
  const [bare] = contestants;
  if (bare === undefined) throw new Error('the bare server is missing');

  const what = `one event of ${EVENT_BYTES} bytes a request, ${CONNECTIONS} connections`;
  console.log(`\nsurvivors: ${what}, ${rounds} rounds of ${seconds} s; median (min–max)\n`);
  const heading = ['', 'bytes that grow old', 'scavenges', 'ms each', 'full collections', 'CPU µs'];
  const rows = contestants.map(({ name }, index) => {
    const of = (key: keyof Turn, digits: number): string =>
      spread(
        (turns[index] ?? []).map((turn) => turn[key]),
        digits,
      );
    return [name, of('oldBytes', 1), of('scavenges', 0), of('scavengeMs', 2), of('full', 1), of('cpuUs', 1)];
  });
  console.log(`${table([heading, ...rows])}\n`);
  console.log('Bytes and processor time are those of a request, collections those of 100,000 requests.\n');
  console.log(`${table(contestRows(contestants, bare))}\n`);
  for (const [index, { name }] of contestants.entries()) {
    if (index === 0) continue;
    const bytes = (turns[index] ?? []).map(({ oldBytes }) => oldBytes);
    console.log(requirement(`${name}, bytes that grow old`, bytes, { most: OLD_BYTES_MOST }, 1));
  }
}
