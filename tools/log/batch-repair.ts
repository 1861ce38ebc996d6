import { basename, join } from 'node:path';
import { callVoid, flushDirectory, writeAll } from '../../lib/logs/file/file-system.js';
import type { FileBounds } from '../../lib/logs/file/large-file.js';
import { NameFlush } from '../../lib/logs/file/directory-sync.js';
import { asideName, QUARANTINE, Quarantine } from '../../lib/logs/file/aside/quarantine.js';
import { Reserve } from '../../lib/logs/file/reserve.js';
import { tryInspect } from './batch-file-reading.js';
import type { FileReading } from './batch-file-reading.js';
import { SoundLines } from './batch-inspection.js';
import type { BatchInspection, InspectedPart } from './batch-inspection.js';
import { TEMPORARY_SUFFIX } from './log-directory.js';
import { flush, remove, withFile } from './tool-file-system.js';
import type { ToolFileSystem } from './tool-file-system.js';
import { count } from '../../lib/base/words.js';

/** At most this many damaged lines are named. */
const LINES_NAMED_MAX = 10;

/** What is to be done to one batch file, found before anything is done. */
export interface BatchRepair {
  readonly name: string;
  readonly inspection: BatchInspection;
  /** How much the file is to hold, in bytes; `null`: nothing in it is sound, it is deleted. */
  readonly bytes: number | null;
}

/** The files of a batch: where its directory is, and what is in memory of one at once. */
export interface BatchPlace {
  readonly fs: ToolFileSystem;
  readonly dir: string;
  readonly bounds?: FileBounds;
}

/**
 * Finds what a batch file needs; `null` where it is sound. Changes nothing.
 *
 * @throws Error where the sound lines alone would not be read as the same events
 */
export async function planRepair(
  { fs, dir, bounds }: BatchPlace,
  name: string,
): Promise<FileReading<BatchRepair | null>> {
  const sound = new SoundLines();
  const reading = await tryInspect(fs, dir, name, bounds, async (part) => {
    sound.add(part);
    return Promise.resolve(true);
  });
  if (!('content' in reading)) return reading;
  const { content: inspection } = reading;
  if (inspection.isSound) return { content: null };
  if (inspection.events === 0) return { content: { name, inspection, bytes: null } };
  sound.end();
  return { content: { name, inspection, bytes: sound.bytes } };
}

/**
 * Does it, in an order that loses nothing wherever it is broken off: the damaged lines are on the device before the
 * batch file goes, and the new batch file is before it takes the place of the old one.
 *
 * @returns the files in the quarantine, as they are called in the log directory
 * @throws the system's error; the batch file is either as it was or as it is to be
 */
export async function doRepair(place: BatchPlace, repair: BatchRepair): Promise<string[]> {
  const { fs, dir } = place;
  const path = join(dir, repair.name);
  const names = new NameFlush(fs, dir);
  const reserve = new Reserve(fs, dir, names);
  const confirmLock = async (): Promise<void> => Promise.resolve(); // the tool holds it for as long as it works
  const quarantine = new Quarantine({ fs, logDir: dir, logNames: names, reserve, confirmLock });
  const asides: string[] = [];
  const setAside = async ({ at, damaged }: InspectedPart): Promise<void> => {
    if (damaged.length === 0) return;
    const aside = await quarantine.setAside(asideName(repair.name, at), damaged);
    asides.push(`${QUARANTINE}/${basename(aside)}`);
  };
  try {
    if (repair.bytes === null) {
      await readAgain(place, repair, setAside);
      await remove(fs, path);
    } else await replace(place, repair, path, setAside);
  } finally {
    await names.close();
  }
  await flushDirectory(fs, dir);
  return asides;
}

/**
 * The repair in words, one line for each thing that is done.
 *
 * @param asides the files with the damaged lines; none where they are not known yet
 */
export function repairTexts({ inspection, bytes }: BatchRepair, asides: readonly string[]): string[] {
  const { damagedLines, damaged, torn, breakLost, events } = inspection;
  const texts: string[] = [];
  if (damagedLines > 0) {
    const numbers = damaged.slice(0, LINES_NAMED_MAX).map(({ line }) => line);
    const more = damagedLines > numbers.length ? ', …' : '';
    const where = `line${damagedLines === 1 ? '' : 's'} ${numbers.join(', ')}${more}`;
    const [first = `${QUARANTINE}/`, ...others] = asides;
    const rest = others.length === 0 ? '' : ` and ${count(others.length, 'more file')}`;
    texts.push(`${count(damagedLines, 'damaged line')} set aside in ${first}${rest} (${where})`);
  }
  if (torn !== null) {
    texts.push(
      `torn end of ${count(torn.length, 'byte')} cut off; it was never acknowledged (line ${torn.line})`,
    );
  }
  if (breakLost !== null) texts.push(`lost last line break mended (line ${breakLost.line})`);
  texts.push(
    bytes === null
      ? 'deleted: it holds no sound line'
      : `rewritten with its ${count(events, 'sound event')}, ${count(bytes, 'byte')}`,
  );
  return texts;
}

async function replace(
  place: BatchPlace,
  repair: BatchRepair,
  path: string,
  setAside: (part: InspectedPart) => Promise<void>,
): Promise<void> {
  const { fs } = place;
  const temporary = path + TEMPORARY_SUFFIX;
  try {
    await withFile(fs, temporary, 'wx', async (fd) => {
      const sound = new SoundLines();
      await readAgain(place, repair, async (part) => {
        await setAside(part);
        const at = sound.bytes;
        await writeAll(fs, fd, sound.add(part), at);
      });
      sound.end();
      if (sound.bytes !== repair.bytes) throw changed();
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

/** Reads the file once more, part by part. @throws Error if it is not what it was */
async function readAgain(
  { fs, dir, bounds }: BatchPlace,
  { name, inspection: before }: BatchRepair,
  use: (part: InspectedPart) => Promise<void>,
): Promise<void> {
  const reading = await tryInspect(fs, dir, name, bounds, async (part) => {
    await use(part);
    return true;
  });
  if ('unreadable' in reading) throw new Error(`unreadable: ${reading.unreadable}`);
  if ('gone' in reading) throw changed();
  const { bytes, events, damagedLines } = reading.content;
  if (bytes !== before.bytes || events !== before.events || damagedLines !== before.damagedLines) {
    throw changed();
  }
}

function changed(): Error {
  return new Error('it has changed meanwhile');
}
