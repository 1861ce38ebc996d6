import { spawn } from 'node:child_process';
import type { ChildProcess, ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import split from 'split2';

const ROOT = process.cwd();
/** Without variables that would be settings: those of the tests (`FOREBAY_TEST_SEED`) stop a start. */
const INHERITED = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('FOREBAY_')),
);

/** A slow disk or a busy machine is refused nothing and starts nothing early, unless a test is about that. */
const PATIENT = { FOREBAY_ACK_TIMEOUT: '10min', FOREBAY_REPLAY_WAIT: '10min' };

/**
 * A server process of its own: `bin/server.js`, as a user starts it, on a free port. It keeps this process alive only
 * while it is waited for, and ends with it: what a failed test has left running holds up nobody.
 */
export class ServerProcess {
  static readonly #running = new Set<ChildProcess>();
  /** Its log lines: on standard output, or on standard error where that is given away. */
  readonly lines: string[] = [];
  /** Everything on standard error. */
  stderr = '';
  port = 0;
  readonly #exited: Promise<number | null>;
  readonly #child;
  readonly #waiting = new Set<() => void>();
  #ended = false;
  /** How many wait for a line, or for its end. */
  #waits = 0;

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
      env: { ...INHERITED, ...PATIENT, ...environment },
    }) as ChildProcessByStdio<null, Readable | null, Readable>;
    if (ServerProcess.#running.size === 0) process.once('exit', ServerProcess.#killAll);
    ServerProcess.#running.add(this.#child);
    (this.#child.stdout ?? this.#child.stderr).pipe(split()).on('data', (line: string) => {
      this.lines.push(line);
      for (const look of this.#waiting) look();
    });
    this.#child.stderr.on('data', (text: Buffer) => {
      this.stderr += text.toString();
    });
    // 'close' comes after the last of the output
    this.#exited = once(this.#child, 'close').then(([code]) => {
      this.#ended = true;
      ServerProcess.#running.delete(this.#child);
      if (ServerProcess.#running.size === 0) process.off('exit', ServerProcess.#killAll);
      for (const look of this.#waiting) look();
      return code as number | null;
    });
    this.#keepAlive('unref');
  }

  static readonly #killAll = (): void => {
    for (const child of ServerProcess.#running) child.kill('SIGKILL');
  };

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

  /** Its exit code; `null` where a signal ended it. */
  get exited(): Promise<number | null> {
    return this.#waitFor(this.#exited);
  }

  get pid(): number {
    return this.#child.pid ?? NaN;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/events`;
  }

  /** The first line that matches, now or once it comes. Throws if the process ends without it. */
  async line(pattern: RegExp): Promise<string> {
    const found = new Promise<string>((resolve, reject) => {
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
    return this.#waitFor(found);
  }

  /** Whether it was killed, as closing took longer than the half second that is left for it after what a stop waits for. */
  get wasLate(): boolean {
    return this.lines.some((line) => line.includes('STOP_TIMEOUT'));
  }

  async stop(signal: NodeJS.Signals): Promise<number | null> {
    this.#child.kill(signal);
    return this.exited;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async #waitFor<T>(news: Promise<T>): Promise<T> {
    if (this.#waits++ === 0) this.#keepAlive('ref');
    try {
      return await news;
    } finally {
      if (--this.#waits === 0) this.#keepAlive('unref');
    }
  }

  #keepAlive(how: 'ref' | 'unref'): void {
    const { stdout, stderr } = this.#child;
    this.#child[how]();
    for (const stream of [stdout, stderr]) (stream as Socket | null)?.[how]();
  }
}
