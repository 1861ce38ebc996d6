import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import split from 'split2';

const ROOT = process.cwd();
/** Without variables that would be settings: those of the tests (`FOREBAY_TEST_SEED`) stop a start. */
const INHERITED = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('FOREBAY_')),
);

/** A server process of its own: `bin/server.js`, as a user starts it, on a free port. */
export class ServerProcess {
  /** Its log lines: on standard output, or on standard error where that is given away. */
  readonly lines: string[] = [];
  /** Everything on standard error. */
  stderr = '';
  port = 0;
  /** `null` where a signal ended it. */
  readonly exited: Promise<number | null>;
  readonly #child;
  readonly #waiting = new Set<() => void>();
  #ended = false;

  /**
   * @param stdout the open file that its standard output is; `null`: the log lines are read from it
   * @param ulimit how the shell in front bounds it, like `-n 300`; `null`: there is no shell
   */
  constructor(
    flags: readonly string[],
    environment: Readonly<Record<string, string>> = {},
    stdout: number | null = null,
    ulimit: string | null = null,
  ) {
    const words = [process.execPath, join(ROOT, 'bin/server.js'), ...flags];
    const all = ulimit === null ? words : ['bash', '-c', `ulimit ${ulimit}; exec "$@"`, 'bash', ...words];
    this.#child = spawn(all[0] ?? '', all.slice(1), {
      stdio: ['ignore', stdout ?? 'pipe', 'pipe'],
      env: { ...INHERITED, ...environment },
    }) as ChildProcessByStdio<null, Readable | null, Readable>;
    (this.#child.stdout ?? this.#child.stderr).pipe(split()).on('data', (line: string) => {
      this.lines.push(line);
      for (const look of this.#waiting) look();
    });
    this.#child.stderr.on('data', (text: Buffer) => {
      this.stderr += text.toString();
    });
    // 'close' comes after the last of the output
    this.exited = once(this.#child, 'close').then(([code]) => {
      this.#ended = true;
      for (const look of this.#waiting) look();
      return code as number | null;
    });
  }

  /** A server that listens, on a free port. */
  static async start(...flags: readonly string[]): Promise<ServerProcess> {
    return new ServerProcess(['--port', '0', ...flags]).listening();
  }

  /** With `--sink stdout`: its events go to an open file. */
  static async startInto(stdout: number, ...flags: readonly string[]): Promise<ServerProcess> {
    const all = ['--port', '0', '--sink', 'stdout', ...flags];
    return new ServerProcess(all, {}, stdout).listening();
  }

  /** Resolves with itself when it listens. */
  async listening(): Promise<this> {
    const line = await this.line(/IngestionServer started on port (\d+)/);
    this.port = Number(/port (\d+)/.exec(line)?.[1]);
    return this;
  }

  get pid(): number {
    return this.#child.pid ?? NaN;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/events`;
  }

  /** The first line that matches, now or once it comes. Throws if the process ends without it. */
  async line(pattern: RegExp): Promise<string> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const found = this.lines.find((line) => pattern.test(line));
        if (found === undefined && !this.#ended) return;
        this.#waiting.delete(look);
        if (found !== undefined) resolve(found);
        else reject(new Error(`no line ${pattern} in:\n${this.lines.join('\n')}\n${this.stderr}`));
      };
      this.#waiting.add(look);
      look();
    });
  }

  async stop(signal: NodeJS.Signals): Promise<number | null> {
    this.#child.kill(signal);
    return this.exited;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}
