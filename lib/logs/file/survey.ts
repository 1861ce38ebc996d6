import { join } from 'node:path';
import { asError } from '../../base/errors.js';
import type { ErrorCode } from '../../base/errors.js';
import { count } from '../../base/words.js';
import { batchOf, DEAD_LETTERS, deadLetterFiles } from './aside/letter-files.js';
import { compareBatchNames, isBatchName } from './batch-name.js';
import { ENDINGS } from './compressed/batch-file-name.js';
import type { BatchFileName } from './compressed/batch-file-name.js';
import { lookThrough } from './directory-entries.js';
import { batchFileOf, isOurs } from './directory-listing.js';
import { diskBytes } from './disk-blocks.js';
import type { FileSystem } from './file-system.js';
import { isCopyName } from './ids/copy-name.js';
import { sizesOf } from './plain-files.js';
import { isWorkerDirectory } from './worker-name.js';

/**
 * At most this many sizes are read before the door opens, some 0.1 s: a start takes as long with a million files. Each is
 * kept with its name, 150 bytes.
 */
const SIZES_MAX = 4096;
/** At most this many foreign files are named. */
const FOREIGN_NAMED = 5;

/** What a server finds in a log directory at its start. */
export interface Survey {
  /** How many batch files an earlier run left. */
  readonly batches: number;
  /** The newest of them. */
  readonly newest: string | null;
  /** Their size on disk, in bytes. */
  readonly bytes: number;
  /** Whether that is as much as some of them let expect. */
  readonly isEstimate: boolean;
  /** The sizes of some of them in bytes, by name. They do not change: nobody appends to a file of an earlier run. */
  readonly sizes: Map<string, number>;
  /** Copies that killed runs have left. */
  readonly copies: readonly string[];
  /** Compressed files of which the file as it was appended is still there. They count nowhere. */
  readonly pairs: readonly BatchFileName[];
  /** Remarks for the operator, in words. */
  readonly remarks: readonly { readonly code: ErrorCode; readonly text: string }[];
}

export async function survey(fs: FileSystem, dir: string): Promise<Survey> {
  const { newest: newestBatch, foreign, names, maybePairs, files, copies } = await entriesIn(fs, dir);
  const remarks: { code: ErrorCode; text: string }[] = [];
  if (foreign.files > 0) remarks.push({ code: 'FOREIGN_FILE', text: foreignText(foreign) });
  const letters = await deadLetterFiles(fs, dir).catch((error: unknown) => {
    const text = `Could not look for dead letters in ${join(dir, DEAD_LETTERS)}: ${asError(error).message}`;
    remarks.push({ code: 'DISK_FAILED', text });
    return [];
  });
  if (letters.length > 0) {
    const text = `There are dead letters of ${count(letters.length, 'batch', 'batches')} in ${join(dir, DEAD_LETTERS)}`;
    remarks.push({ code: 'DEAD_LETTERS', text });
  }
  // their names are not given again either, if possible
  let newest = newestBatch;
  for (const name of letters.map(batchOf)) {
    if (isBatchName(name) && (newest === null || compareBatchNames(name, newest) > 0)) newest = name;
  }
  const pairs = await pairsAmong(fs, dir, [...new Set(maybePairs)]);
  const batches = files - pairs.length;
  const isEstimate = files > SIZES_MAX;
  const sizes = await sizesOfBatches(fs, dir, names, pairs);
  const bytes = isEstimate ? Math.round(meanOf(sizes) * batches) : sumOf(sizes);
  return { batches, bytes, isEstimate, newest, sizes, copies, pairs, remarks };
}

interface Foreign {
  files: number;
  readonly some: string[];
}

interface Entries {
  /** Batch files: those that are there twice count twice. */
  readonly files: number;
  readonly newest: string | null;
  /** Some of the files. */
  readonly names: readonly string[];
  /** Batches that may be there twice. */
  readonly maybePairs: readonly string[];
  readonly copies: readonly string[];
  readonly foreign: Foreign;
}

/** One walk through the names, which waits for nothing else. */
async function entriesIn(fs: FileSystem, dir: string): Promise<Entries> {
  return lookThrough(fs, dir, async (entries) => {
    let newest: string | null = null;
    let files = 0;
    const names: string[] = [];
    const appended = new SeenNames();
    const compressed = new SeenNames();
    const maybePairs: string[] = [];
    const copies: string[] = [];
    const foreign: Foreign = { files: 0, some: [] };
    for await (const entry of entries) {
      if (isCopyName(entry.name) && entry.isFile()) copies.push(entry.name);
      if (isOurs(entry.name) || isWorkerDirectory(entry)) continue;
      const file = batchFileOf(entry);
      if (file === null) {
        foreign.files++;
        if (foreign.some.length < FOREIGN_NAMED) foreign.some.push(join(dir, entry.name));
        if (!isBatchName(entry.name)) continue;
        // what is no file cannot be deleted with the batch, so a compressed one of its name waits
        appended.add(entry.name);
        if (compressed.mayHave(entry.name)) maybePairs.push(entry.name);
        continue;
      }
      const { name, ending } = file;
      files++;
      if (newest === null || compareBatchNames(name, newest) > 0) newest = name;
      if (names.length < SIZES_MAX) names.push(entry.name);
      const [same, other] = ending === '' ? [appended, compressed] : [compressed, appended];
      same.add(name);
      if (other.mayHave(name)) maybePairs.push(name);
    }
    return { files, newest, names, maybePairs, copies, foreign };
  });
}

/** How many bits a set of names has: of a million names, one in 60 seems to be in the other set and is looked for. */
const SEEN_BITS = 26;

/** A set of names that is sure of what it does not have. Its memory does not grow. */
class SeenNames {
  #bits: Uint32Array | null = null;

  add(name: string): void {
    const bits = (this.#bits ??= new Uint32Array(2 ** (SEEN_BITS - 5)));
    const at = hashOf(name);
    bits[at >>> 5] = (bits[at >>> 5] ?? 0) | (1 << (at & 31));
  }

  mayHave(name: string): boolean {
    const at = hashOf(name);
    return this.#bits !== null && ((this.#bits[at >>> 5] ?? 0) & (1 << (at & 31))) !== 0;
  }
}

/** FNV-1a (draft-eastlake-fnv), of which the highest bits are used. */
function hashOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
  return hash >>> (32 - SEEN_BITS);
}

async function pairsAmong(fs: FileSystem, dir: string, names: readonly string[]): Promise<BatchFileName[]> {
  const pairs: BatchFileName[] = [];
  const appended = await sizesOf(fs, dir, names);
  for (const ending of ENDINGS) {
    const compressed = await sizesOf(
      fs,
      dir,
      names.map((name) => `${name}${ending}`),
    );
    for (const [index, name] of names.entries())
      if (appended[index] !== null && compressed[index] !== null) pairs.push({ name, ending });
  }
  return pairs;
}

/** Without the compressed ones of pairs, and those that are gone. */
async function sizesOfBatches(
  fs: FileSystem,
  dir: string,
  names: readonly string[],
  pairs: readonly BatchFileName[],
): Promise<Map<string, number>> {
  const twice = new Set(pairs.map(({ name, ending }) => `${name}${ending}`));
  const counting = names.filter((name) => !twice.has(name));
  const sizes = await sizesOf(fs, dir, counting);
  return new Map(
    counting.flatMap((name, index) => (sizes[index] === null ? [] : [[name, sizes[index] ?? 0]])),
  );
}

function sumOf(sizes: ReadonlyMap<string, number>): number {
  let bytes = 0;
  for (const size of sizes.values()) bytes += diskBytes(size);
  return bytes;
}

function meanOf(sizes: ReadonlyMap<string, number>): number {
  return sumOf(sizes) / Math.max(1, sizes.size);
}

function foreignText({ files, some }: Foreign): string {
  const what = files === 1 ? 'Not a batch file' : 'Not batch files';
  const more = files > some.length ? ` and ${files - some.length} more` : '';
  return `${what}, left alone: ${some.join(', ')}${more}`;
}
