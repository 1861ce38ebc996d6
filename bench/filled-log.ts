import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { AppendLog } from '../lib/logs/file/append-log.js';
import { EventBlock } from '../lib/event/event-block.js';
import { markedBytes } from '../lib/logs/file/checksum.js';
import type { BatchPart } from '../lib/seams/event-log.js';
import { Reporter } from '../lib/base/reporter.js';
import { NumberedEvent } from './numbered-event.js';

const execute = promisify(execFile);

const NOTHING = Buffer.alloc(0);
const BATCH_SIZE = 100;
/** As at default settings after a burst: a file holds several batches. */
export const EVENTS_PER_FILE = 5000;

/**
 * Fills a folder with batch files, with Forebay's own append log, as if a server had taken the events fast and its sink
 * none. They are on the device when this resolves, so that nobody measures the system writing them.
 */
export async function fillLog(dir: string, events: number, signal: AbortSignal): Promise<void> {
  const settings = { fsync: 'never', fileEvents: EVENTS_PER_FILE } as const;
  const log = await AppendLog.open({ dir, reporter: new Reporter(), ...settings });
  const event = new NumberedEvent((text) => text);
  const partOf = (from: number, to: number): BatchPart => {
    const block = new EventBlock();
    for (let number = from; number < to; number++) {
      event.number = number;
      block.addBytes(event.bytes, NOTHING);
    }
    const request = { block, withdrawn: false, acknowledge: () => undefined };
    const bytes = markedBytes(block.length, block.startOf(block.length));
    return { ranges: [{ request, from: 0, to: block.length }], events: block.length, bytes, end: 'size' };
  };
  for (let from = 0; from < events; from += EVENTS_PER_FILE) {
    signal.throwIfAborted();
    const group: BatchPart[] = [];
    const end = Math.min(from + EVENTS_PER_FILE, events);
    for (let at = from; at < end; at += BATCH_SIZE) group.push(partOf(at, Math.min(at + BATCH_SIZE, end)));
    await log.append(group, (_part, error) => {
      if (error !== null) throw error;
    });
  }
  await log.close();
  await execute('sync');
}
