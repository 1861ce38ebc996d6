import type { Mutant } from './mutants.js';

const FILES = 'lib/logs/file/retained/retained-files.ts';
const WRITER = 'lib/logs/file/group-writer.ts';
const AGAIN = 'return { ...part, file: null };';

/** Faults of what is kept after its delivery, and of what it makes room for. */
export const RETENTION_MUTANTS: readonly Mutant[] = [
  {
    name: 'deletes delivered batches that are to be kept',
    breaks: 'N9',
    edits: [{ file: FILES, find: 'if (events > 0 && (ageMs', replace: 'if (events < 0 && (ageMs' }],
    violates: /was delivered at the end, and is not kept/,
    worlds: ['retention'],
  },
  {
    name: 'deletes what is kept before its time',
    breaks: 'N9',
    edits: [
      {
        file: FILES,
        find: 'oldest.settledMs + ageMs <= Date.now()',
        replace: 'oldest.settledMs + ageMs >= Date.now()',
      },
    ],
    violates: /was delivered at the end, and is not kept/,
    worlds: ['retention'],
  },
  {
    name: 'keeps a batch that was only read',
    breaks: 'N9',
    edits: [
      {
        file: 'lib/logs/file/append-log.ts',
        find: 'const read = await this.#reader.read(batch);',
        replace:
          'const read = await this.#reader.read(batch);\n    await this.#retained.take(name, read.events, logBytes, null);',
      },
    ],
    violates: /was acknowledged and is lost/,
    worlds: ['retention'],
  },
  {
    name: 'refuses events that it appends again once there is room',
    breaks: 'N4',
    edits: [
      {
        file: WRITER,
        find: AGAIN,
        replace: `{\n          tell(error, null);\n          ${AGAIN}\n        }`,
      },
    ],
    violates:
      /was refused with LOG_FAILED (?:and came to the sink all the same|after the sink got it)|counts do not add up/,
    worlds: ['retention', 'small disk'],
  },
  {
    name: 'appends again to a file that has met a full disk',
    breaks: 'N4',
    edits: [{ file: WRITER, find: AGAIN, replace: 'return part;' }],
    violates: /a file was used that is not open/,
    worlds: ['retention', 'small disk'],
  },
];
