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
  {
    name: 'compresses a file that delivery was given',
    breaks: 'N12',
    edits: [
      {
        file: BACKLOG,
        find: 'return backlog()?.has(name) === true && !files.pairs.has(name);',
        replace: 'void backlog;\n    return !files.pairs.has(name);',
      },
      {
        file: BACKLOG,
        find: 'backlog()?.hold(name) !== true',
        replace: 'false',
      },
    ],
    violates: /is lost|hangs|counts do not add up|nothing waits/,
    worlds: ['compression'],
  },
  {
    name: 'counts both files of a batch that is there twice',
    breaks: 'N12',
    edits: [
      {
        file: 'lib/logs/file/compressed/pairs.ts',
        find: 'return (this.#counting.get(name) ?? ending) === ending;',
        replace: 'void name;\n    return ending === ending;',
      },
      {
        file: 'lib/logs/file/directory-listing.ts',
        find: 'if (others[index] === null) await add(`${file.name}${file.ending}`);\n        else pairs.push(file);',
        replace: 'await add(`${file.name}${file.ending}`);\n        void others[index];',
      },
    ],
    violates: /counts do not add up|hangs|nothing waits|came out of order/,
    worlds: ['compression'],
  },
  {
    name: 'leaves the other file of a batch that is there twice',
    breaks: 'N9',
    edits: [
      {
        file: 'lib/logs/file/compressed/forms.ts',
        find: 'if (isGone && !isThereTwice) break;',
        replace: 'void isThereTwice;\n    if (isGone) break;',
      },
    ],
    violates: /hangs/,
    worlds: ['compression'],
  },
  {
    name: 'reads the directory while a file changes its form',
    breaks: 'N9',
    edits: [
      {
        file: 'lib/logs/file/exclusive.ts',
        find: 'const run = this.#last.then(work);',
        replace: 'const run = work();',
      },
    ],
    violates: /hangs|is lost/,
    worlds: ['compression'],
  },
  {
    name: 'passes a batch on while its file changes its form',
    breaks: 'N12',
    edits: [
      {
        file: 'lib/logs/file/backlog.ts',
        find: 'if (this.#held !== null && this.#batches[0]?.name === this.#held) return;',
        replace: '',
      },
    ],
    violates: /counts do not add up|hangs|is lost|nothing waits/,
    worlds: ['compression'],
  },
];
