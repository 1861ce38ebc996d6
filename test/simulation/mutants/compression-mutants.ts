import type { Mutant } from './mutants.js';

const LOST = /was acknowledged and is lost/;
const BACKLOG = 'lib/logs/file/compressed/backlog-compression.ts';

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
        file: 'lib/logs/file/compressed/compress-file.ts',
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
];
