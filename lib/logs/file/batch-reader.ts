import { join } from 'node:path';
import { systemCode } from '../../base/errors.js';
import type { Reporter } from '../../base/reporter.js';
import { Batch } from '../../seams/batch.js';
import type { PendingBatch } from '../../seams/batch.js';
import { NO_CONTEXTS } from '../../seams/event-contexts.js';
import type { EventContexts } from '../../seams/event-contexts.js';
import { readBatchLinesInTurns } from './batch-lines.js';
import type { BatchFileName, Ending } from './compressed/batch-file-name.js';
import { inAnyForm } from './compressed/forms.js';
import { CompressedView, isLostLine } from './compressed/compressed-view.js';
import type { MemberIndex } from './compressed/member-index.js';
import { BeingWritten, readExpected, statsOf, withOpen } from './file-system.js';
import type { FileSystem } from './file-system.js';
import { batchesBetween } from './batches-in-file.js';
import type { BatchInFile } from './batches-in-file.js';
import { plainView } from './file-view.js';
import type { FileView } from './file-view.js';
import { inspectLarge, pieceOf, readPiece } from './large-file.js';
import type { FileBounds, FilePiece, LargeFile, PieceContent } from './large-file.js';
import { soundLines } from './checksum.js';
import { asideName } from './aside/quarantine.js';
import type { Quarantine } from './aside/quarantine.js';
import { count } from '../../base/words.js';

/** What a batch file held when it was read. */
export interface ReadCounts {
  readonly events: number;
  /** Lines that were set aside in the quarantine. */
  readonly quarantined: number;
  /** Whether a torn end was dropped. */
  readonly torn: boolean;
}

/** The content of a batch file. */
export interface BatchContent extends ReadCounts {
  /** Its sound events, as NDJSON; empty if they are read in pieces. */
  readonly bytes: Buffer<ArrayBuffer>;
  readonly contexts: EventContexts;
  /** The batches of a file of several, if its events are in `bytes`. */
  readonly batches: readonly BatchInFile[];
  /** The pieces of a large file; empty for any other. */
  readonly pieces: readonly FilePiece[];
  /** The run that wrote it, if the file names one. */
  readonly runId: string | null;
}

export interface BatchReaderOptions {
  readonly fs: FileSystem;
  readonly dir: string;
  readonly quarantine: Quarantine;
  readonly reporter: Reporter;
  readonly bounds: FileBounds;
  /** Throws if a missing file may be somewhere else. */
  readonly confirmGone: () => Promise<void>;
}

type Found = Pick<LargeFile, 'events' | 'damagedLines' | 'aside' | 'tornBytes' | 'lastBreakLost'>;

/** Of a compressed file: where bytes of it were set aside, which is done before its lines are used. */
interface CompressedAside {
  readonly aside: string;
}

const NONE = Buffer.alloc(0);
const NO_LINES = { bytes: NONE, contexts: NO_CONTEXTS, batches: [] };
const NOTHING = { ...NO_LINES, pieces: [], events: 0, runId: null, quarantined: 0, torn: false };

/** Reads batch files. Damaged lines are set aside first (N7), a torn end is dropped; both are reported. */
export class BatchReader {
  readonly #options: BatchReaderOptions;

  constructor(options: BatchReaderOptions) {
    this.#options = options;
  }

  /** @throws the system's error if the file cannot be read or the damage cannot be set aside */
  async read(batch: PendingBatch): Promise<BatchContent> {
    const { dir } = this.#options;
    const read = async (ending: Ending | ''): Promise<BatchContent> => {
      const path = join(dir, `${batch.name}${ending}`);
      return ending === '' ? this.#readPlain(path, batch) : this.#readCompressed(path, ending, batch);
    };
    return (await this.#ifThere(batch, () => inAnyForm(batch.compressed?.ending ?? '', read))) ?? NOTHING;
  }

  async #readPlain(path: string, batch: PendingBatch): Promise<BatchContent> {
    const { fs, bounds } = this.#options;
    const { isAcknowledged, logBytes, compressed } = batch;
    // the size of some files is unknown before: 0
    const isKnown = compressed === undefined && (isAcknowledged || logBytes > 0);
    const stats = isKnown ? { size: logBytes } : await statsOf(fs, path).catch(() => null);
    const size = stats?.size ?? 0;
    return size > bounds.wholeMax ? this.#readLarge(path, batch) : this.#readWhole(path, batch);
  }

  async #readCompressed(path: string, ending: Ending, batch: PendingBatch): Promise<BatchContent> {
    const { fs, bounds } = this.#options;
    return withOpen(fs, path, async (fd, { size }) => {
      const compressed = { aside: '' };
      const view = await this.#viewOf(
        fd,
        size,
        { ...batch, ending },
        undefined,
        (aside) => (compressed.aside = aside),
      );
      const isLarge = view.size > bounds.wholeMax;
      const content = isLarge
        ? await this.#largeContent(view, batch, null, compressed)
        : await this.#wholeContent(await view.readAt(0, view.size), batch, null, compressed);
      return { ...content, pieces: content.pieces.map((piece) => ({ ...piece, index: view.index })) };
    });
  }

  async #viewOf(
    fd: number,
    size: number,
    { name, ending }: BatchFileName,
    index: MemberIndex | undefined,
    told: (aside: string) => void = () => undefined,
  ): Promise<FileView & { readonly index?: MemberIndex }> {
    const { fs, quarantine, bounds } = this.#options;
    if (ending === '') return plainView(fs, fd, size);
    const setAside = async (damaged: Buffer, at: number): Promise<void> =>
      told(await quarantine.setAside(asideName(`${name}${ending}`, at), [damaged]));
    return CompressedView.open(fs, fd, size, ending, { index, foreignMax: bounds.wholeMax, setAside });
  }

  /** Reads a piece of a large file. If events were damaged or deleted since, it has fewer, and the log says so. */
  async readPiece(batch: Pick<Batch, 'name' | 'key'>, piece: FilePiece): Promise<Batch> {
    const { fs, dir, reporter, quarantine } = this.#options;
    const { name, key } = batch;
    const read = async (ending: Ending | ''): Promise<PieceContent> =>
      withOpen(fs, join(dir, `${name}${ending}`), async (fd, { size }) =>
        readPiece(await this.#viewOf(fd, size, { name, ending }, piece.index), batch, piece),
      );
    const content = await this.#ifThere(batch, () => inAnyForm(piece.index?.ending ?? '', read));
    if (content === null) return new Batch({ name, key, events: 0, bytes: NONE });
    const { missing } = content;
    const isCompressed = piece.index !== undefined;
    const damaged = content.damaged.filter((line) => !isCompressed || !isLostLine(line));
    // otherwise the damage was set aside before, and there is no torn end
    if (content.batch.events !== piece.events) {
      const aside = damaged.length > 0 ? await quarantine.setAside(asideName(name, piece.at), damaged) : '';
      const kept = damaged.length > 0 ? `, set aside in ${aside}` : '';
      const text = `Damaged since it was looked at: ${count(piece.events - content.batch.events, 'event')} of ${name}${kept}; ${count(missing, 'byte')} missing`;
      reporter.error('BATCH_DAMAGED', text);
    }
    return content.batch;
  }

  async #readWhole(path: string, batch: PendingBatch): Promise<BatchContent> {
    const { logBytes, leftover } = batch;
    const acknowledgedBytes = acknowledgedOf(batch);
    const file = await readExpected(this.#options.fs, path, logBytes, acknowledgedBytes, leftover);
    return this.#wholeContent(file, batch, acknowledgedBytes, null);
  }

  async #wholeContent(
    file: Buffer<ArrayBuffer>,
    batch: PendingBatch,
    acknowledgedBytes: number | null,
    compressed: CompressedAside | null,
  ): Promise<BatchContent> {
    const { name } = batch;
    const sound = file.length < (acknowledgedBytes ?? 0) ? null : soundLines(file);
    if (sound !== null) {
      const { bytes, runId, events, contexts, starts } = sound;
      const end = { line: events, events, at: file.length, textAt: bytes.length };
      return {
        runId,
        events,
        quarantined: 0,
        torn: false,
        ...this.#inBatches(bytes, contexts, batchesBetween(starts, end)),
      };
    }
    const { bytes, contexts, runId, damaged, starts, ...found } = await readBatchLinesInTurns(
      file,
      isWhole(batch),
    );
    const aside = await this.#setAside(name, damaged, compressed);
    this.#tell(batch, { ...found, aside }, file.length, acknowledgedBytes);
    const { events, tornBytes, damagedLines } = found;
    const line = events + damagedLines;
    const end = { line, events, at: file.length - tornBytes, textAt: bytes.length };
    const batches = this.#inBatches(bytes, contexts, batchesBetween(starts, end));
    return { runId, events, quarantined: damagedLines, torn: tornBytes > 0, ...batches };
  }

  /** The events of a file, or its batches as pieces if memory is not to hold all of them. */
  #inBatches(
    bytes: Buffer<ArrayBuffer>,
    contexts: EventContexts,
    batches: readonly BatchInFile[],
  ): Pick<BatchContent, 'bytes' | 'contexts' | 'batches' | 'pieces'> {
    if (batches.length > 0 && bytes.length > this.#options.bounds.piece)
      return { ...NO_LINES, pieces: batches.map(pieceOf) };
    return { bytes, contexts, batches, pieces: [] };
  }

  async #readLarge(path: string, batch: PendingBatch): Promise<BatchContent> {
    const { fs } = this.#options;
    const acknowledgedBytes = acknowledgedOf(batch);
    return withOpen(fs, path, async (fd, { size }) => {
      if (batch.leftover && !fs.tryLock(fd, true)) throw new BeingWritten(path);
      const view = plainView(fs, fd, Math.min(size, acknowledgedBytes ?? size));
      return this.#largeContent(view, batch, acknowledgedBytes, null);
    });
  }

  async #largeContent(
    view: FileView,
    batch: PendingBatch,
    acknowledgedBytes: number | null,
    compressed: CompressedAside | null,
  ): Promise<BatchContent> {
    // equal damage of several parts must not count as set aside before
    const setAside = async (damaged: readonly Buffer[], at: number): Promise<string> =>
      this.#setAside(asideName(batch.name, at), damaged, compressed);
    const found = await inspectLarge(view, isWhole(batch), this.#options.bounds, setAside);
    this.#tell(batch, found, view.size, acknowledgedBytes);
    const { events, runId, pieces, damagedLines, tornBytes } = found;
    return { ...NO_LINES, pieces, events, runId, quarantined: damagedLines, torn: tornBytes > 0 };
  }

  /** @returns where they are now */
  async #setAside(
    name: string,
    damaged: readonly Buffer[],
    compressed: CompressedAside | null,
  ): Promise<string> {
    const kept = compressed === null ? damaged : damaged.filter((line) => !isLostLine(line));
    return kept.length > 0 ? this.#options.quarantine.setAside(name, kept) : (compressed?.aside ?? '');
  }

  /** `null` if the file is gone; the log says so then. */
  async #ifThere<T>({ name }: { readonly name: string }, read: () => Promise<T>): Promise<T | null> {
    const { reporter, confirmGone } = this.#options;
    try {
      return await read();
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error;
      await confirmGone();
      reporter.error('BATCH_GONE', `The batch file ${name} is gone: someone else has deleted or moved it`);
      return null;
    }
  }

  #tell(batch: PendingBatch, found: Found, length: number, acknowledgedBytes: number | null): void {
    const { name, events: known, past } = batch;
    const { reporter } = this.#options;
    const { events, damagedLines, aside, tornBytes, lastBreakLost } = found;
    // it was read before with the same outcome, which was reported then
    if (past !== null && known === events) return;
    if (damagedLines > 0) {
      const all = count(events + damagedLines, 'line');
      reporter.error(
        'BATCH_DAMAGED',
        `Damaged: ${damagedLines} of ${all} of ${name}, set aside in ${aside}; the rest is sound`,
      );
    }
    if (lastBreakLost)
      reporter.error(
        'BATCH_DAMAGED',
        `Damaged: the last line break of ${name}; the event before it is sound`,
      );
    if (tornBytes > 0) {
      reporter.warn(
        'BATCH_TORN',
        `Torn end of ${name}: dropped ${count(tornBytes, 'byte')} that ${tornBytes === 1 ? 'was' : 'were'} never acknowledged`,
      );
    }
    if (acknowledgedBytes !== null && length < acknowledgedBytes) {
      const missing = acknowledgedBytes - length;
      reporter.error(
        'BATCH_DAMAGED',
        `Damaged: of ${name}, ${count(missing, 'byte')} that ${missing === 1 ? 'was acknowledged is' : 'were acknowledged are'} missing`,
      );
    }
  }
}

/** How many bytes of a file are known to be acknowledged; `null` if all are, as far as is known. */
function acknowledgedOf({ isAcknowledged, logBytes, compressed }: PendingBatch): number | null {
  return isAcknowledged && compressed === undefined ? logBytes : null;
}

/** Whether a file of this run was acknowledged to its end, or its failed end was cut off. */
function isWhole({ isAcknowledged, leftover }: PendingBatch): boolean {
  return isAcknowledged || !leftover;
}
