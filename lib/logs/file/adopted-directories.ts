import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { asError, systemCode } from '../../base/errors.js';
import { LOCK_FILE } from './directory-lock.js';
import { holdsEvents, leftWorkerDirectories } from './worker-directories.js';

/** A directory that cannot be taken over. The message names it and says why. */
export class NotAdoptable extends Error {}

/**
 * The log directories of servers that are gone: the directory of each, and those of its workers that hold events.
 *
 * @throws NotAdoptable, ForebayError `LOG_DIR_UNUSABLE`
 */
export async function adoptedDirectories(dirs: readonly string[], logDir: string): Promise<string[]> {
  const own = await realPath(logDir);
  const adopted: string[] = [];
  const known = new Set<string>();
  for (const dir of dirs) {
    const real = await realPath(dir);
    if (isWithin(real, own) || isWithin(own, real))
      throw new NotAdoptable(`${dir} is ${logDir} itself, or one is in the other`);
    if (known.has(real)) throw new NotAdoptable(`${dir} is named twice`);
    known.add(real);
    await checkDirectory(dir);
    adopted.push(dir, ...(await leftWorkerDirectories(dir, 1)));
  }
  return adopted;
}

/** Anything else would be made a log directory by adopting it. */
async function checkDirectory(dir: string): Promise<void> {
  try {
    const isLocked = await stat(join(dir, LOCK_FILE)).then(
      (stats) => stats.isFile(),
      () => false,
    );
    if (isLocked || ((await stat(dir)).isDirectory() && (await holdsEvents(dir)))) return;
  } catch (error) {
    throw new NotAdoptable(`${dir} cannot be read: ${asError(error).message}`);
  }
  throw new NotAdoptable(`${dir} is no log directory: it holds neither ${LOCK_FILE} nor a batch`);
}

/** Of a path whose last parts may not be there yet. */
async function realPath(path: string): Promise<string> {
  const whole = resolve(path);
  try {
    return await realpath(whole);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT' || dirname(whole) === whole) throw error;
    return join(await realPath(dirname(whole)), basename(whole));
  }
}

function isWithin(inner: string, outer: string): boolean {
  const way = relative(outer, inner);
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`));
}
