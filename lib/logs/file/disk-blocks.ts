/**
 * The usual block size of a file system (ext4, XFS, APFS, NTFS). Files take whole blocks: a file of one small event
 * takes as much of the disk as one of 4,096 bytes.
 */
export const BLOCK_BYTES = 4096;

/** The size of a file on disk, in bytes. @param fileBytes its length */
export function diskBytes(fileBytes: number): number {
  return Math.ceil(fileBytes / BLOCK_BYTES) * BLOCK_BYTES;
}
