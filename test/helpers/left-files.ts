import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { isBatchName } from '../../lib/logs/file/batch-name.js';
import type { ForebayOptions } from '../../lib/forebay.js';
import { startForebay } from './running-forebay.js';
import type { RunningForebay } from './running-forebay.js';

/** What became of the files that an earlier run, or somebody else, left in a log directory. */
export interface Outcome extends RunningForebay {
  /** What the sink got of each file that had events, in the order of delivery. */
  readonly delivered: ReadonlyMap<string, string>;
  /** What was set aside of each file. */
  readonly quarantine: ReadonlyMap<string, Buffer>;
  /** Warnings and errors that name each file. */
  readonly complaints: ReadonlyMap<string, readonly string[]>;
}

export const batchFiles = (dir: string): string[] => readdirSync(dir).filter(isBatchName);

/** The name of the n-th file, in the order of delivery. */
export function leftName(n: number): string {
  return `batch_20250101_000000_${n}.jsonl`;
}

/** A folder in memory where the system has one: many small files, flushed one by one, are fast there. */
export function memoryDir(t: Test): string {
  const parent = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  const dir = mkdtempSync(join(parent, 'forebay-test-'));
  t.teardown(() => {
    rmSync(dir, { recursive: true, force: true });
  });
  return dir;
}

/** Starts on a directory with these files; resolves when the start has delivered all it can. */
export async function startOn(
  t: Test,
  files: ReadonlyMap<string, Buffer | string>,
  options: Partial<Omit<ForebayOptions, 'sink' | 'logDir'>> = {},
): Promise<Outcome> {
  const dir = memoryDir(t);
  for (const [name, content] of files) writeFileSync(join(dir, name), content);
  const running = await startForebay(t, { replayWaitMs: 600_000, ...options, logDir: dir });
  const complaints = new Map<string, string[]>();
  for (const { level, text } of running.said) {
    const name = /batch_\d+_\d+_\d+\.jsonl/.exec(text)?.[0];
    if (level === 'info' || name === undefined) continue;
    complaints.set(name, [...(complaints.get(name) ?? []), text]);
  }
  const delivered = new Map(running.sink.batches.map(({ name, text }) => [name, text]));
  return { ...running, delivered, quarantine: readQuarantine(dir), complaints };
}

export function readQuarantine(logDir: string): Map<string, Buffer> {
  const dir = join(logDir, 'quarantine');
  const names = existsSync(dir) ? readdirSync(dir) : [];
  return new Map(names.map((name) => [name, readFileSync(join(dir, name))]));
}

/** The pieces of a file, each with its line feed; the last one may have none. */
export function pieces(file: Buffer): Buffer[] {
  const all: Buffer[] = [];
  for (let start = 0; start < file.length;) {
    const feed = file.indexOf(10, start);
    const end = feed === -1 ? file.length : feed + 1;
    all.push(file.subarray(start, end));
    start = end;
  }
  return all;
}

/** The same bytes at every run, of every value. */
export function noise(seed: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}
