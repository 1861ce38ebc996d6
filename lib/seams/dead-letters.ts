import { ForebayError } from '../base/errors.js';
import type { Batch } from './batch.js';

/** An event that the sink refused. */
export interface DeadLetter {
  /** Its place in the batch, from 0. */
  readonly index: number;
  readonly reason: string;
  readonly status: number | string | null;
  /** Attempts that included it. */
  readonly attempts: number;
  /** The event's original text. */
  readonly event: Buffer;
}

/** The details of a dead letter, without its event. */
export interface LetterAbout {
  readonly batch: string;
  /** Earlier versions wrote none. */
  readonly key?: string;
  readonly index: number;
  readonly reason: string;
  readonly status: number | string | null;
  readonly attempts: number;
  readonly time: string;
}

/** A dead letter with the start of its event. */
export interface LetterLook extends LetterAbout {
  /** The start of the event's original text. */
  readonly event: string;
  readonly isCut: boolean;
}

/** The size of the letters of a batch, in bytes. */
export interface LettersSize {
  readonly bytes: number;
  /** The size of earlier letters of the same batch, which these replace. */
  readonly earlierBytes: number;
}

/** The letters of a batch have no room below the bound. */
export class DeadLettersFull extends ForebayError {
  readonly size: LettersSize;

  constructor(message: string, size: LettersSize) {
    super('DEAD_LETTERS_FULL', { message });
    this.size = size;
  }
}

/** Keeps events that the sink refused. Each is durable before its batch is taken off the log. */
export interface DeadLetterStore {
  /**
   * Keeps the refused events of a batch, in place of those kept before. Durable when it resolves.
   *
   * @returns where they are
   * @throws DeadLettersFull; the system's error
   */
  keep(batch: Batch, letters: readonly DeadLetter[]): Promise<string>;
  /** The sink has all of a batch: its letters are removed. Durable when it resolves. */
  withdraw(batch: Batch): Promise<void>;
  /** Checks for room again, unless that was done just now. @returns the size of all letters, in bytes */
  look(): Promise<number>;
  /** Whether letters of this size have room, as of the last check. @param batch whose they are; `null`: nobody knows */
  hasRoom(size: LettersSize, batch: string | null): boolean;
}
