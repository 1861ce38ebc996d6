import { call, callVoid, withOpen, writeAll } from '../file-system.js';
import type { FileSystem } from '../file-system.js';
import { countSound } from '../checksum.js';
import { diskBytes } from '../disk-blocks.js';
import { identityAt, identityOf, isSame } from '../file-identity.js';
import { plainView } from '../file-view.js';
import { partsOf } from '../large-file.js';
import type { Codec } from './codec.js';
import { MEMBER_BYTES, MEMBER_BYTES_MAX, writeMember } from './member.js';

const BOUNDS = { piece: MEMBER_BYTES, lineMax: MEMBER_BYTES_MAX, wholeMax: 0 };

export interface CompressedCopy {
  /** The size of the compressed file, and of the file as it was appended. */
  readonly bytes: number;
  readonly fileBytes: number;
}

export interface CompressFileOptions {
  readonly fs: FileSystem;
  readonly codec: Codec;
  /** The file, and the one to write, which must not exist. */
  readonly path: string;
  readonly copy: string;
  /** Whether another server may be writing the file. */
  readonly mayBeWritten: boolean;
  /** Asked between two members: whether to go on. */
  readonly isWanted: () => boolean;
}

/**
 * Writes a compressed copy of a file, flushed. It is read a member at a time.
 *
 * @returns `null` if the file stays as it is: it is no longer wanted, takes as much of the disk compressed, is being
 *   written, or has a line that is not sound. Then the copy may be there, and is worth nothing
 * @throws the system's error
 */
export async function compressFile(options: CompressFileOptions): Promise<CompressedCopy | null> {
  const { fs, path, copy, mayBeWritten } = options;
  return withOpen(fs, path, async (fd, { size }) => {
    if (mayBeWritten && !fs.tryLock(fd, true)) return null;
    const to = await call<number>((done) => {
      fs.open(copy, 'wx', 0o640, done);
    });
    let bytes: number | null;
    try {
      bytes = await writeMembers(options, fd, size, to);
      if (bytes !== null)
        await callVoid((done) => {
          fs.fdatasync(to, done);
        });
    } finally {
      // it is on the device, or of no use
      await callVoid((done) => {
        fs.close(to, done);
      }).catch(() => undefined);
    }
    // a server without the lock may have delivered and deleted it
    const isThere = isSame(await identityAt(fs, path), await identityOf(fs, fd));
    return bytes === null || !isThere ? null : { bytes, fileBytes: size };
  });
}

/** @returns the size of the copy */
async function writeMembers(
  { fs, codec, isWanted }: CompressFileOptions,
  fd: number,
  size: number,
  to: number,
): Promise<number | null> {
  let bytes = 0;
  let [linesAt, linesBefore] = [0, 0];
  /** @returns whether the copy is still smaller */
  const add = async (part: Buffer, lines: number): Promise<boolean> => {
    const member = await writeMember(codec, part, { linesAt, fileBytes: size, lines, linesBefore });
    if (diskBytes(bytes + member.length) >= diskBytes(size)) return false;
    await writeAll(fs, to, member, bytes);
    bytes += member.length;
    linesAt += part.length;
    linesBefore += lines;
    return true;
  };
  for await (const { bytes: part, isPartOfLine } of partsOf(plainView(fs, fd, size), BOUNDS)) {
    const lines = isPartOfLine ? null : countSound(part);
    if (lines === null || !isWanted()) return null;
    if (!(await add(part, lines))) return null;
  }
  return linesAt === size && (await add(Buffer.alloc(0), 0)) ? bytes : null;
}
