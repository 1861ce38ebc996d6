import { join } from 'node:path';
import type { Reporter } from '../../../base/reporter.js';
import { asideName } from '../aside/quarantine.js';
import type { Quarantine } from '../aside/quarantine.js';
import { readBatchLinesInTurns } from '../batch-lines.js';
import { countSound } from '../checksum.js';
import { unlink } from '../closing.js';
import { diskBytes } from '../disk-blocks.js';
import type { DirectoryLock } from '../directory-lock.js';
import { readAll, statsOf, withOpen } from '../file-system.js';
import type { FileSystem } from '../file-system.js';
import { plainView } from '../file-view.js';
import type { FileView } from '../file-view.js';
import { FILE_BOUNDS, partsOf } from '../large-file.js';
import type { BatchFileName, Ending } from './batch-file-name.js';
import { CompressedView } from './compressed-view.js';

/** Batches whose file is there twice, as it was appended and compressed: one counts, and both are deleted together. */
export class Pairs {
  readonly #counting = new Map<string, Ending | ''>();

  /** @param ending of the file that counts */
  add(name: string, ending: Ending | ''): void {
    this.#counting.set(name, ending);
  }

  delete(name: string): void {
    this.#counting.delete(name);
  }

  has(name: string): boolean {
    return this.#counting.has(name);
  }

  /** The ending of the file that counts; `null`: the batch has only one. */
  counting(name: string): Ending | '' | null {
    return this.#counting.get(name) ?? null;
  }

  /** Whether a file that is there counts. */
  counts({ name, ending }: BatchFileName): boolean {
    return (this.#counting.get(name) ?? ending) === ending;
  }
}

export interface SettlePairsOptions {
  readonly fs: FileSystem;
  readonly dir: string;
  readonly reporter: Reporter;
  readonly quarantine: Quarantine;
  readonly lock: Pick<DirectoryLock, 'confirm'>;
}

/**
 * Decides which file counts, of those that a killed run left twice: the one as it was appended, as its name is durable for
 * certain, and the compressed one is deleted. If that one is sound and the other is not, or has lost its end (the compressed
 * one was flushed, which `--fsync never` does with no other), the compressed one counts. If both are damaged, or they are of different runs, the compressed one is set aside. Never rejects.
 *
 * @returns by how much more the files that count take of the disk, in bytes
 */
export async function settlePairs(
  options: SettlePairsOptions,
  found: readonly BatchFileName[],
  pairs: Pairs,
): Promise<number> {
  const { fs, dir, reporter, quarantine, lock } = options;
  let more = 0;
  for (const { name, ending } of found) {
    if (ending === '') continue;
    const path = join(dir, name);
    pairs.add(name, '');
    try {
      if ((await statsOf(fs, path))?.isFile() === false) {
        const text = `${path} is no plain file: the events of ${name}${ending} wait until it is gone and the server starts again`;
        reporter.error('FOREIGN_FILE', text);
        continue;
      }
      const appended = await look(fs, path, '');
      const compressed = await look(fs, `${path}${ending}`, ending).catch(() => null);
      const isSame =
        compressed?.isSound === true && (appended.runId === null || appended.runId === compressed.runId);
      if (isSame && (!appended.isSound || compressed.lineBytes > appended.lineBytes)) {
        pairs.add(name, ending);
        const [from, to] = [await statsOf(fs, path), await statsOf(fs, `${path}${ending}`)];
        more += diskBytes(to?.size ?? 0) - diskBytes(from?.size ?? 0);
        continue;
      }
      if (!appended.isSound) {
        const bytes = await readAll(fs, `${path}${ending}`, null);
        const where = await quarantine.setAside(asideName(`${name}${ending}`, 0), [bytes]);
        const text = `Damaged: ${name} is there compressed as well, and not the same: that one is set aside in ${where}`;
        reporter.error('BATCH_DAMAGED', text);
      }
      await lock.confirm();
      await unlink(fs, `${path}${ending}`);
      pairs.delete(name);
    } catch {
      // both are there until the batch is delivered
    }
  }
  return more;
}

/** Whether all lines of a file are sound, their size, and the run of the first one; `null` if that is not sound. */
async function look(
  fs: FileSystem,
  path: string,
  ending: Ending | '',
): Promise<{ readonly isSound: boolean; readonly lineBytes: number; readonly runId: string | null }> {
  return withOpen(fs, path, async (fd, { size }) => {
    let isSound = size > 0;
    let runId: string | null = null;
    const setAside = async (): Promise<void> => void (isSound = false);
    const view: FileView =
      ending === ''
        ? plainView(fs, fd, size)
        : await CompressedView.open(fs, fd, size, ending, { foreignMax: FILE_BOUNDS.wholeMax, setAside });
    for await (const { at, bytes } of partsOf(view, FILE_BOUNDS)) {
      const first = { hasMarks: true, isFirst: true, traceBefore: null };
      if (at === 0) ({ runId } = await readBatchLinesInTurns(bytes, false, first));
      isSound &&= countSound(bytes) !== null;
      if (!isSound) break;
    }
    return { isSound, lineBytes: view.size, runId };
  });
}
