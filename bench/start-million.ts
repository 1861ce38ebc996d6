import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { markedLine } from '../lib/logs/file/checksum.js';
import { spread } from './numbers.js';
import { forebay } from './server-under-test.js';
import type { ServerCommand } from './server-under-test.js';
import { freePort } from './store-process.js';
import { table } from './table.js';
import type { Workbench } from './workbench.js';

/** Each second of names has this many files. */
const FILES_PER_SECOND = 20;
const LOOK_MS = 10;
const RUN_ID = '0123456789abcdef';
const FIRST_MS = Date.UTC(2026, 0, 1);

/** A start with a million batch files, of one event each, whose sink is down. */
export async function startMillion(bench: Workbench, rounds: number, files: number): Promise<void> {
  const dir = join(bench.dir, 'million');
  fill(dir, files);
  const kinds = [
    { name: 'no file', logDir: join(bench.dir, 'none') },
    { name: `${files} batch files`, logDir: dir },
  ];
  const rows: string[][] = [];
  for (const { name, logDir } of kinds) {
    const all: Times[] = [];
    for (let round = 0; round < rounds; round++) all.push(await timesOf(bench, logDir));
    const times = (of: (each: Times) => number): string => spread(all.map(of), 0);
    rows.push([name, times((each) => each.listensMs), times((each) => each.opensMs)]);
  }
  console.log(`\nstart-million: ${rounds} starts each, in ms from spawn; median (min–max)\n`);
  console.log(table([['', 'accepts connections', 'takes events'], ...rows]));
}

function fill(dir: string, files: number): void {
  mkdirSync(dir, { recursive: true });
  for (let n = 1; n <= files; n++) {
    const time = new Date(FIRST_MS + Math.floor(n / FILES_PER_SECOND) * 1000).toISOString();
    const name = `batch_${time.slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '_')}_${n}.jsonl`;
    const fd = openSync(join(dir, name), 'wx');
    writeSync(fd, markedLine(`{"id":"e${n}","type":"t","data":${n},"timestamp":1}`, RUN_ID));
    closeSync(fd);
  }
}

interface Times {
  readonly listensMs: number;
  readonly opensMs: number;
}

async function timesOf(bench: Workbench, logDir: string): Promise<Times> {
  const port = await freePort();
  const sink = { sink: 'http', 'sink-url': `http://127.0.0.1:${await freePort()}/` };
  const command: ServerCommand = forebay(logDir, { ...sink, port });
  const startMs = performance.now();
  const opened = bench.start([command]).then(() => performance.now() - startMs);
  while (!(await accepts(port))) await sleep(LOOK_MS);
  const listensMs = performance.now() - startMs;
  const opensMs = await opened;
  await bench.stopServers();
  return { listensMs, opensMs };
}

async function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const end = (does: boolean): void => {
      socket.destroy();
      resolve(does);
    };
    socket.once('connect', () => {
      end(true);
    });
    socket.once('error', () => {
      end(false);
    });
  });
}
