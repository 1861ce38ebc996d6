import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { until } from '../helpers/wait-for.js';

const ROOT = process.cwd();

/** A program of `bin/`, started as the README starts it, in a folder of its own. */
export class Program {
  static readonly #running = new Set<Program>();
  /** Everything on standard output. */
  output = '';
  /** Everything on standard error. */
  errors = '';
  code: number | NodeJS.Signals | null = null;
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;

  constructor(dir: string, name: 'server' | 'producer', flags: readonly string[]) {
    const child = spawn(process.execPath, [join(ROOT, 'bin', `${name}.js`), ...flags], {
      cwd: dir,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    Program.#running.add(this);
    child.stdout.setEncoding('utf8').on('data', (text: string) => (this.output += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.errors += text));
    this.#ended = once(child, 'close').then(([code, signal]) => {
      this.code = (code ?? signal) as number | NodeJS.Signals;
      Program.#running.delete(this);
    });
  }

  /** Kills those that still run. */
  static async endAll(): Promise<void> {
    await Promise.all([...Program.#running].map(async (program) => program.end('SIGKILL')));
  }

  /** The lines of the log so far, without the clock in front. */
  get lines(): string[] {
    return this.output
      .split('\n')
      .slice(0, -1)
      .map((line) => line.slice('00:00:00.000 '.length));
  }

  /** Waits until a line is there. */
  async line(start: string, waitMs: number = 60_000): Promise<void> {
    await until(() => this.lines.some((line) => line.startsWith(start)) || this.code !== null, start, waitMs);
    if (!this.lines.some((line) => line.startsWith(start)))
      throw new Error(`ended without the line "${start}":\n${this.output}${this.errors}`);
  }

  async end(signal?: NodeJS.Signals): Promise<void> {
    if (signal !== undefined) this.#child.kill(signal);
    await this.#ended;
  }
}
