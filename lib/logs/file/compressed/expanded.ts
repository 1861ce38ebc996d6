import { NoZstd } from './codec.js';
import type { Codec } from './codec.js';

/**
 * The lines of a member, or if it is damaged, what can be read of them.
 *
 * @throws NoZstd; Error if there is too much, and nobody has said how much there is
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
    if (error instanceof NoZstd) throw error;
    if (isForeign && isTooMuch(error)) throw tooLarge(member.length);
  }
  // the longest start that is no error: the damage comes after it
  let lines: Buffer<ArrayBuffer> = Buffer.alloc(0);
  let [sound, unsound] = [0, member.length + 1];
  while (unsound - sound > 1) {
    const middle = (sound + unsound) >> 1;
    const part = await codec.expand(member.subarray(0, middle), bytesMax, true).catch(() => null);
    if (part === null) unsound = middle;
    else {
      sound = middle;
      lines = part;
    }
  }
  return { lines, isDamaged: true };
}

function isTooMuch(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE';
}

export function tooLarge(bytes: number): Error {
  return new Error(
    `its ${bytes} compressed bytes hold too much or are of a foreign form, as Forebay did not write them: decompress it by hand, or move it away`,
  );
}
