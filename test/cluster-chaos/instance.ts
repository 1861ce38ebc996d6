import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ChildProgram } from '../helpers/child-program.js';

const RESTART_MS = 500;

/** A Forebay as a process, with somebody who starts it again if it ends by itself. */
export class Instance {
  readonly name: string;
  readonly origin: string;
  /** What it said last, each time that it ended by itself. */
  readonly falls: string[] = [];
  readonly #program: ChildProgram;
  #shouldRun = false;

  /** @param around the words in front of the program, by which it runs at its node */
  constructor(
    name: string,
    host: string,
    port: number,
    flags: readonly string[],
    around: readonly string[],
    file: string,
  ) {
    this.name = name;
    this.origin = `http://${host}:${port}`;
    const words = [
      process.execPath,
      join(process.cwd(), 'bin/server.js'),
      '--host',
      host,
      '--port',
      `${port}`,
    ];
    this.#program = new ChildProgram([...words, ...flags], around, (line) =>
      appendFileSync(file, `${line}\n`),
    );
  }

  /** Does nothing if it runs. */
  start(): void {
    if (this.#shouldRun) return;
    this.#shouldRun = true;
    void this.#keepRunning();
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    this.#shouldRun = false;
    await this.#program.end(signal);
  }

  /** SIGSTOP, SIGCONT. */
  signal(signal: NodeJS.Signals): void {
    this.#program.signal(signal);
  }

  async isReady(): Promise<boolean> {
    try {
      return (await fetch(`${this.origin}/ready`, { signal: AbortSignal.timeout(1000) })).ok;
    } catch {
      return false;
    }
  }

  async #keepRunning(): Promise<void> {
    while (this.#shouldRun) {
      this.#program.start();
      await this.#program.gone();
      if (!this.#shouldRun) return;
      this.falls.push(this.#program.lines.slice(-3).join(' | '));
      await sleep(RESTART_MS);
    }
  }
}
