import { NoZstd } from './codec.js';
import type { Codec } from './codec.js';

const TOO_MUCH: ReadonlySet<unknown> = new Set(['ERR_BUFFER_TOO_LARGE']);
/** The bytes may be sound, and are read again later. */
const NO_MEMORY: ReadonlySet<unknown> = new Set([
  'Z_MEM_ERROR',
  'ZSTD_error_memory_allocation',
  'ERR_ZLIB_INITIALIZATION_FAILED',
  'ERR_MEMORY_ALLOCATION_FAILED',
]);

/**
 * The lines of a member, or if it is damaged, what can be read of them.
 *
 * @throws NoZstd; Error if there is too much, and nobody has said how much there is, or if there is no memory for it
 */
export async function expanded(
  codec: Codec,
  member: Buffer,
  bytesMax: number,
  isForeign: boolean,
): Promise<{ readonly lines: Buffer<ArrayBuffer>; readonly isDamaged: boolean }> {
  try {
    return { lines: await codec.expand(member, bytesMax, false), isDamaged: false };
  } catch (error) {
    if (error instanceof NoZstd || isCodeOf(error, NO_MEMORY)) throw error;
    if (isForeign && isCodeOf(error, TOO_MUCH)) throw tooLarge(member.length);
  }
  // the longest start that is no error: the damage comes after it
  let lines: Buffer<ArrayBuffer> = Buffer.alloc(0);
  let [sound, unsound] = [0, member.length + 1];
  while (unsound - sound > 1) {
    const middle = (sound + unsound) >> 1;
    const part = await codec.expand(member.subarray(0, middle), bytesMax, true).catch((error: unknown) => {
      if (isCodeOf(error, NO_MEMORY)) throw error;
      return null;
    });
    if (part === null) unsound = middle;
    else {
      sound = middle;
      lines = part;
    }
  }
  return { lines, isDamaged: true };
}

function isCodeOf(error: unknown, codes: ReadonlySet<unknown>): boolean {
  return error instanceof Error && 'code' in error && codes.has(error.code);
}

export function tooLarge(bytes: number): Error {
  return new Error(
    `its ${bytes} compressed bytes hold too much or are of a foreign form, as Forebay did not write them: decompress it by hand, or move it away`,
  );
}
