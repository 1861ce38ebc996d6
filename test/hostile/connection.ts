import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { AnswerReader } from './answer-reader.js';

/** Strangers come from another address than the honest client, where the system has more than one for itself. */
export const FROM = process.platform === 'linux' ? { localAddress: '127.0.0.2' } : {};

/** A connection of a stranger: sends bytes as they are given. */
export class Connection {
  readonly answers = new AnswerReader();
  /** Whether the server has closed it, or refused it. */
  isClosed = false;
  /** Why it broke, if it did. */
  error: Error | null = null;
  readonly #socket: Socket;
  readonly #waiting = new Set<() => void>();

  /** @param reads whether it reads what it is answered */
  constructor(port: number, reads: boolean = true) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true, ...FROM });
    this.#socket.on('error', (error) => {
      this.error = error;
    });
    for (const event of ['end', 'close'] as const) {
      this.#socket.on(event, () => {
        this.isClosed = true;
        this.#wake();
      });
    }
    this.#socket.on('connect', () => {
      this.#wake();
    });
    if (!reads) return;
    this.#socket.on('data', (piece: Buffer) => {
      this.answers.append(piece);
      this.#wake();
    });
  }

  /** How many bytes went out. */
  get bytes(): number {
    return Math.max(0, this.#socket.bytesWritten - this.#socket.writableLength);
  }

  get isOpen(): boolean {
    return !this.#socket.connecting && !this.isClosed;
  }

  send(bytes: Buffer): void {
    if (this.#socket.writable) this.#socket.write(bytes);
  }

  /** Closes this side only. */
  end(): void {
    this.#socket.end();
  }

  reset(): void {
    this.#socket.resetAndDestroy();
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Resolves when something holds, when the server has closed, or when the time is over. */
  async until(holds: () => boolean, withinMs: number): Promise<void> {
    if (holds() || this.isClosed) return;
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (!holds() && !this.isClosed) return;
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        resolve();
      }, withinMs);
      this.#waiting.add(look);
    });
  }

  #wake(): void {
    for (const look of this.#waiting) look();
  }
}
