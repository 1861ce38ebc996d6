/**
 * A file system gives files whole blocks, and this is the usual size of one (ext4, XFS, APFS, NTFS): a file of one small
 * event takes as much of the disk as one of 4,096 bytes.
 */
export const BLOCK_BYTES = 4096;

/** What a file takes of the disk, in bytes. @param fileBytes its length */
export function diskBytes(fileBytes: number): number {
  return Math.ceil(fileBytes / BLOCK_BYTES) * BLOCK_BYTES;
}
