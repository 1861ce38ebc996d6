import type { Mutant } from './mutants.js';

const LOST = /was acknowledged and is lost/;
const BACKLOG = 'lib/logs/file/compressed/backlog-compression.ts';
const COMPRESS = 'lib/logs/file/compressed/compress-file.ts';
const PAIRS = 'lib/logs/file/compressed/pairs.ts';

/** Faults in the compression of files that wait. */
export const COMPRESSION_MUTANTS: readonly Mutant[] = [
  {
    name: 'deletes a file before the name of its compressed copy is flushed',
    breaks: 'N9',
    edits: [{ file: BACKLOG, find: 'await flushName();', replace: 'void flushName;' }],
    violates: LOST,
    worlds: ['compression'],
  },
  {
    name: 'renames a compressed copy that is not flushed',
    breaks: 'N9',
    edits: [
      {
        file: COMPRESS,
        find: 'fs.fdatasync(to, done);',
        replace: 'done(null);\n          void to;',
      },
    ],
    violates: LOST,
    worlds: ['compression'],
  },
  {
    name: 'deletes a file before its compressed copy is renamed',
    breaks: 'N9',
    edits: [
      {
        file: BACKLOG,
        find: 'const flushName = logNames.forNewName();',
        replace: 'const flushName = logNames.forNewName();\n      await unlink(fs, path);',
      },
    ],
    violates: LOST,
    worlds: ['compression'],
  },
  {
    name: 'takes a compressed copy whose flush has failed',
    breaks: 'N9',
    edits: [
      { file: COMPRESS, find: 'fs.fdatasync(to, done);', replace: 'fs.fdatasync(to, () => done(null));' },
    ],
    violates: LOST,
    worlds: ['compression'],
    from: 6,
  },
  {
    name: 'compresses a file as far as it is sound',
    breaks: 'N9',
    edits: [
      {
        file: COMPRESS,
        find: 'if (lines === null || !isWanted()) return null;',
        replace: 'if (lines === null || !isWanted()) break;',
      },
      { file: COMPRESS, find: 'linesAt === size && ', replace: '' },
    ],
    violates: LOST,
    worlds: ['compression'],
  },
  {
    name: 'takes the damaged file of a batch as it was appended, though the compressed one is sound',
    breaks: 'N7',
    edits: [
      {
        file: PAIRS,
        find: 'isSame && (!appended.isSound || compressed.lineBytes > appended.lineBytes)',
        replace: 'false',
      },
    ],
    violates: LOST,
    from: 2, // in seed 1 a batch has too many events first
    worlds: ['compression'],
  },
  {
    name: 'takes the compressed file of a batch although it is damaged',
    breaks: 'N7',
    edits: [
      { file: PAIRS, find: 'compressed?.isSound === true && (', replace: 'compressed !== null && (' },
      { file: PAIRS, find: '(!appended.isSound ||', replace: '(true ||' },
    ],
    violates: LOST,
    worlds: ['compression'],
  },
  {
    name: 'believes what is left of a damaged member',
    breaks: 'N7',
    edits: [
      {
        file: 'lib/logs/file/compressed/compressed-view.ts',
        find: 'if (!isDamaged && lines.length === viewBytes) return lines;',
        replace: 'return lines;',
      },
    ],
    violates: /was damaged, and its line is lost/,
    worlds: ['compression'],
  },
  {
    name: 'passes a batch on while its file changes its form',
    breaks: 'N9',
    edits: [{ file: 'lib/logs/file/backlog.ts', find: 'this.#held = name;', replace: '' }],
    violates: /waits, and takes -?\d+ bytes of the disk/,
    worlds: ['compression'],
  },
  {
    name: 'does not count the room that compression has made',
    breaks: 'N1',
    edits: [
      { file: 'lib/logs/file/append-log.ts', find: 'this.pendingBytes -= fromBytes - toBytes;', replace: '' },
    ],
    violates: /no file waits, and takes \d+ bytes of the disk/,
    worlds: ['compression'],
  },
];
