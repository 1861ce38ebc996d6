import { basename } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Logger } from '../../lib/base/reporter.js';
import { Reporter } from '../../lib/base/reporter.js';
import { Delivery } from '../../lib/core/delivery.js';
import type { DeliveryOptions } from '../../lib/core/delivery-options.js';
import { AppendLog } from '../../lib/logs/file/append-log.js';
import type { AppendLogOptions } from '../../lib/logs/file/append-log-options.js';
import { nodeFileSystem } from '../../lib/logs/file/file-system.js';
import type { FileSystem } from '../../lib/logs/file/file-system.js';
import type { Sink } from '../../lib/seams/sink.js';
import type { Scope } from './temp-dir.js';

/** A Delivery on what an earlier run left. */
export interface DeliveryBench {
  readonly log: AppendLog;
  readonly delivery: Delivery;
  /** Ends it. So does the end of the test. */
  readonly end: () => Promise<void>;
}

type BenchOptions = Partial<
  Pick<AppendLogOptions, 'fs' | 'fileBounds' | 'deadLettersBytesMax'> &
    Pick<DeliveryOptions, 'random' | 'asideBytesMax'> & { readonly logger: Logger }
>;

/** Delivers what is in a log directory, one batch at a time, and nothing else. */
export async function deliverLeft(
  t: Scope,
  dir: string,
  sink: Sink,
  { logger, random, asideBytesMax, ...bounds }: BenchOptions = {},
): Promise<DeliveryBench> {
  const reporter = new Reporter(logger);
  const log = await AppendLog.open({ dir, fsync: 'never', reporter, ...bounds });
  const delivery = new Delivery({
    log,
    sink,
    reporter,
    sinkConcurrency: 1,
    sinkTriesMax: null,
    ...(random && { random }),
    ...(asideBytesMax !== undefined && { asideBytesMax }),
  });
  const stopping = new AbortController();
  const ended = pipeline(log.backlog(stopping.signal), delivery);
  let ending: Promise<void> | null = null;
  const end = async (): Promise<void> => {
    delivery.stop();
    stopping.abort();
    await ended;
    await log.close();
    reporter.sumUp();
  };
  const once = async (): Promise<void> => (ending ??= end());
  t.teardown(once);
  return { log, delivery, end: once };
}

/**
 * A file system on which some files cannot be opened.
 *
 * @param failureOf the code of the error for a file of this name; `null`: it can be opened
 * @param tookMs how long it takes to fail
 */
export function unopenable(failureOf: (name: string) => string | null, tookMs = 0): FileSystem {
  const open = ((path: string, ...rest: unknown[]) => {
    const code = failureOf(basename(path));
    if (code === null) Reflect.apply(nodeFileSystem.open, nodeFileSystem, [path, ...rest]);
    else {
      const error = Object.assign(new Error(`a test says ${code}`), { code });
      setTimeout(rest.at(-1) as (error: Error) => void, tookMs, error);
    }
  }) as FileSystem['open'];
  return Object.create(nodeFileSystem, { open: { value: open } }) as FileSystem;
}
