import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import type { Test } from 'tap';
import { until } from './running-forebay.js';
import { tempDir } from './temp-dir.js';

const MARK = '\u0000mark';

/** A pipe with a name (`mkfifo`): its writing end, open all the time, and a reader who can stop, go and come back. */
export class NamedPipe {
  /** The writing end. */
  readonly fd: number;
  /** What readers have got. */
  text = '';
  /** The reader goes away when so many bytes have come. */
  leavesAt = Infinity;
  readonly #path: string;
  #reader: Socket | null = null;
  /** A reading end that nobody reads from. */
  #idle: number | null = null;

  constructor(t: Test) {
    this.#path = join(tempDir(t), 'pipe');
    execFileSync('mkfifo', [this.#path]);
    this.read();
    this.fd = openSync(this.#path, constants.O_WRONLY);
    t.teardown(() => {
      this.leave();
      closeSync(this.fd);
    });
  }

  /** Someone reads. */
  read(): void {
    if (this.#reader !== null) return;
    this.#reader = new Socket({ fd: this.#openToRead(), writable: false }).setEncoding('latin1');
    this.#reader.on('data', (text: string) => {
      this.text += text;
      if (this.text.length > this.leavesAt) this.leave();
    });
    this.#closeIdle();
  }

  /** Nobody reads, and someone may. */
  pause(): void {
    this.#idle ??= this.#openToRead();
    this.#reader?.destroy();
    this.#reader = null;
  }

  /** The reader goes away. */
  leave(): void {
    this.#reader?.destroy();
    this.#reader = null;
    this.#closeIdle();
  }

  #openToRead(): number {
    return openSync(this.#path, constants.O_RDONLY | constants.O_NONBLOCK);
  }

  #closeIdle(): void {
    if (this.#idle !== null) closeSync(this.#idle);
    this.#idle = null;
  }

  /** All lines that readers have got by now; one that is cut off at the end as well. */
  async lines(): Promise<string[]> {
    if (this.#reader !== null) {
      writeSync(this.fd, `${MARK}\n`);
      await until(() => this.text.includes(MARK), 'the mark comes through the pipe');
      this.text = this.text.replace(`${MARK}\n`, '');
    }
    return Buffer.from(this.text, 'latin1').toString().split('\n').slice(0, -1);
  }
}
