import { fstatSync } from 'node:fs';
import type { Batch } from '../../seams/batch.js';
import { asError, ForebayError } from '../../base/errors.js';
import { DescriptorOutput } from './descriptor-output.js';
import type { Output } from './output.js';
import { PipeOutput } from './pipe-output.js';
import { SinkError } from '../../seams/sink-error.js';
import type { Sink } from '../../seams/sink.js';
import { untilAborted } from '../deadline.js';

const LINE_FEED = Buffer.from('\n');

/**
 * Writes every event to standard output, one a line, and confirms when the system has taken the whole batch. For a pipe
 * that means its buffer (64 KiB on Linux): what a reader has not read yet when it dies, or has read and not dealt with,
 * does not come again. A file is flushed.
 *
 * `process.stdout` must not be used beside it, not even touched: it would be a second stream on the same pipe.
 */
export class StdoutSink implements Sink {
  readonly description = { kind: 'stdout' };
  readonly #output: Output;
  /** One write after another, also if batches come side by side. */
  #turn: Promise<void> = Promise.resolve();

  /** @throws ForebayError `SINK_UNUSABLE` */
  static open(fd: number = 1): StdoutSink {
    try {
      const stats = fstatSync(fd);
      const isSocket = stats.isSocket();
      if (isSocket || stats.isFIFO()) return new StdoutSink(new PipeOutput(fd, isSocket));
      return new StdoutSink(new DescriptorOutput(fd, stats.isFile()));
    } catch (error) {
      const message = `Standard output cannot be used as a sink: ${asError(error).message}`;
      throw new ForebayError('SINK_UNUSABLE', { message, cause: error });
    }
  }

  private constructor(output: Output) {
    this.#output = output;
  }

  async deliver(batch: Batch, signal: AbortSignal): Promise<void> {
    const turn = this.#turn.then(() => {
      signal.throwIfAborted();
      // after a batch that was cut short, perhaps within a line, this one starts on a new line
      const bytes = this.#output.isCut ? Buffer.concat([LINE_FEED, batch.bytes]) : batch.bytes;
      return this.#output.write(bytes, signal);
    });
    this.#turn = turn.catch(() => undefined);
    try {
      await untilAborted(turn, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      // a pipe takes any bytes, or none
      throw new SinkError(asError(error).message, { reached: false, cause: error });
    }
  }

  async close(): Promise<void> {
    this.#output.close();
  }
}
