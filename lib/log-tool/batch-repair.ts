import { basename, join } from 'node:path';
import { callVoid, flushDirectory, writeAll } from '../append-log/file-system.js';
import { NameFlush } from '../append-log/name-flush.js';
import { QUARANTINE, Quarantine } from '../append-log/quarantine.js';
import { Reserve } from '../append-log/reserve.js';
import { soundFile } from './batch-inspection.js';
import type { BatchInspection } from './batch-inspection.js';
import { TEMPORARY_SUFFIX } from './log-directory.js';
import { flush, remove, withFile } from './tool-file-system.js';
import type { ToolFileSystem } from './tool-file-system.js';
import { count } from '../words.js';

/** What is to be done to one batch file, found before anything is done. */
export interface BatchRepair {
  readonly name: string;
  readonly inspection: BatchInspection;
  /** What the file is to hold; `null`: nothing in it is sound, it is deleted. */
  readonly content: Buffer | null;
}

/**
 * Finds what a batch file needs; `null` where it is sound. Changes nothing.
 *
 * @throws Error where the sound lines alone would not be read as the same events
 */
export function planRepair(name: string, inspection: BatchInspection): BatchRepair | null {
  if (inspection.damaged.length === 0 && inspection.torn === null && inspection.breakLost === null)
    return null;
  return { name, inspection, content: inspection.events === 0 ? null : soundFile(inspection) };
}

/**
 * Does it, in an order that loses nothing wherever it is broken off: the damaged lines are on the device before the
 * batch file goes, and the new batch file is before it takes the place of the old one.
 *
 * @returns the file in the quarantine, as it is called in the log directory; `null` where nothing was damaged
 * @throws the system's error; the batch file is either as it was or as it is to be
 */
export async function doRepair(fs: ToolFileSystem, dir: string, repair: BatchRepair): Promise<string | null> {
  const { name, inspection, content } = repair;
  let aside: string | null = null;
  if (inspection.damaged.length > 0) {
    const lines = inspection.damaged.map(({ bytes }) => bytes);
    const names = new NameFlush(fs, dir);
    const confirmLock = async (): Promise<void> => Promise.resolve(); // the tool holds it for as long as it works
    try {
      const parties = { fs, logDir: dir, logNames: names, reserve: new Reserve(fs, dir, names), confirmLock };
      aside = `${QUARANTINE}/${basename(await new Quarantine(parties).setAside(name, lines))}`;
    } finally {
      await names.close();
    }
  }
  const path = join(dir, name);
  if (content === null) await remove(fs, path);
  else await replace(fs, path, content);
  await flushDirectory(fs, dir);
  return aside;
}

/**
 * The repair in words, one line for each thing that is done.
 *
 * @param aside where the damaged lines are; `null` where that is not known yet
 */
export function repairTexts({ inspection, content }: BatchRepair, aside: string | null): string[] {
  const { damaged, torn, breakLost, events } = inspection;
  const texts: string[] = [];
  if (damaged.length > 0) {
    const numbers = damaged.slice(0, 10).map(({ line }) => line);
    const where = `line${damaged.length === 1 ? '' : 's'} ${numbers.join(', ')}${damaged.length > 10 ? ', …' : ''}`;
    texts.push(
      `${count(damaged.length, 'damaged line')} set aside in ${aside ?? `${QUARANTINE}/`} (${where})`,
    );
  }
  if (torn !== null) {
    texts.push(
      `torn end of ${count(torn.length, 'byte')} cut off; it was never acknowledged (line ${torn.line})`,
    );
  }
  if (breakLost !== null) texts.push(`lost last line break mended (line ${breakLost.line})`);
  texts.push(
    content === null
      ? 'deleted: it holds no sound line'
      : `rewritten with its ${count(events, 'sound event')}, ${count(content.length, 'byte')}`,
  );
  return texts;
}

async function replace(fs: ToolFileSystem, path: string, content: Buffer): Promise<void> {
  const temporary = path + TEMPORARY_SUFFIX;
  try {
    await withFile(fs, temporary, 'wx', async (fd) => {
      await writeAll(fs, fd, content, 0);
      await flush(fs, fd);
    });
    await callVoid((done) => {
      fs.rename(temporary, path, done);
    });
  } catch (error) {
    await remove(fs, temporary).catch(() => undefined); // the next repair does it otherwise
    throw error;
  }
}
