import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import split from 'split2';

/** Has the kernel kill the program when this process ends, however it ends; not on systems other than Linux. */
const WITH_PARENT = onPath('setpriv') === null ? [] : ['setpriv', '--pdeathsig', 'KILL'];
/** Without variables that would be settings of a server: those of the tests (`FOREBAY_TEST_SEED`) stop a start. */
const INHERITED = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('FOREBAY_')),
);
const LINES_MAX = 400;

/** Where a program is on the PATH; `null`: it is not. */
export function onPath(name: string): string | null {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return folders.map((folder) => join(folder, name)).find(existsSync) ?? null;
}

/** A program that is started, ended, and started again. It gets no signal from the terminal, and ends with us. */
export class ChildProgram {
  static readonly #running = new Set<ChildProcess>();
  /** The last lines that it wrote, of all its runs. */
  readonly lines: string[] = [];
  readonly #words: readonly string[];
  readonly #around: readonly string[];
  readonly #write: (line: string) => void;
  #child: ChildProcess | null = null;
  #ended: Promise<unknown> = Promise.resolve();

  /**
   * @param around the words in front, of a program that becomes this one by exec
   * @param write gets each line, too
   */
  constructor(
    words: readonly string[],
    around: readonly string[] = [],
    write: (line: string) => void = () => undefined,
  ) {
    this.#words = words;
    this.#around = around;
    this.#write = write;
  }

  get isRunning(): boolean {
    return this.#child !== null;
  }

  /** Does nothing if it runs. */
  start(): void {
    if (this.#child !== null) return;
    const [first = '', ...others] = [...this.#around, ...WITH_PARENT, ...this.#words];
    const child = spawn(first, others, { stdio: ['ignore', 'pipe', 'pipe'], env: INHERITED, detached: true });
    this.#child = child;
    if (ChildProgram.#running.size === 0) process.once('exit', ChildProgram.#killAll);
    ChildProgram.#running.add(child);
    for (const stream of [child.stdout, child.stderr])
      stream.pipe(split()).on('data', (line: string) => {
        this.lines.push(line);
        this.#write(line);
        if (this.lines.length > LINES_MAX) this.lines.shift();
      });
    const gone = (): void => {
      ChildProgram.#running.delete(child);
      if (ChildProgram.#running.size === 0) process.off('exit', ChildProgram.#killAll);
      if (this.#child === child) this.#child = null;
    };
    child.once('exit', gone);
    child.once('error', (error) => {
      this.lines.push(String(error));
      gone();
    });
    this.#ended = once(child, 'close').catch(() => undefined);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Resolves when it is gone; one that is stopped goes on first, unless it is killed. */
  async end(signal: NodeJS.Signals): Promise<void> {
    this.signal(signal);
    if (signal !== 'SIGKILL') this.signal('SIGCONT');
    await this.#ended;
  }

  /** Where the kernel does not do it. */
  static readonly #killAll = (): void => {
    for (const child of ChildProgram.#running) child.kill('SIGKILL');
  };

  /** Resolves when it has ended, by itself or not. */
  async gone(): Promise<void> {
    await this.#ended;
  }
}
