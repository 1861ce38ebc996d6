import { existsSync, readFileSync, rmSync } from 'node:fs';
import { codecOf } from '../../lib/logs/file/compressed/codec.js';
import type { Ending } from '../../lib/logs/file/compressed/batch-file-name.js';
import { compressFile } from '../../lib/logs/file/compressed/compress-file.js';
import { headBytes, readHead } from '../../lib/logs/file/compressed/member.js';
import { markedLine } from '../../lib/logs/file/checksum.js';
import { nodeFileSystem } from '../../lib/logs/file/file-system.js';
import { BATCH_MARK_BYTES, batchMark } from '../../lib/logs/file/run-mark.js';
import { eventText } from './running-forebay.js';

export const RUN = '0123456789abcdef';

/** Compresses a file as the server does, and deletes it. */
export async function compressed(path: string, ending: Ending = '.gz'): Promise<string> {
  const copy = `${path}${ending}`;
  const options = { fs: nodeFileSystem, codec: codecOf(ending), path, copy };
  const made = await compressFile({ ...options, mayBeWritten: false, isWanted: () => true });
  if (made === null || !existsSync(copy)) throw new Error(`${path} stays as it is`);
  rmSync(path);
  return copy;
}

/** The lines of a file of several batches, each of this many events, which are of some size. */
export function severalBatches(batches: number, events: number, dataBytes: number): string {
  const lines = Array.from({ length: batches * events }, (_, n) => {
    const text = eventText(`e${n}`, `${n}`.repeat(dataBytes).slice(0, dataBytes));
    return n % events === 0 ? markedStart(text) : markedLine(text);
  });
  return lines.join('');
}

/** A line that starts a batch in a file of several. */
function markedStart(text: string): string {
  const mark = batchMark(RUN).toString();
  if (mark.length !== BATCH_MARK_BYTES) throw new Error('a mark has another size');
  return markedLine(`${text}${mark}`);
}

/** Where the members of a compressed file are. */
export function membersOf(
  path: string,
  ending: Ending = '.gz',
): { at: number; bytes: number; lines: number }[] {
  const file = readFileSync(path);
  const members = [];
  for (let at = 0; at < file.length;) {
    const member = readHead(codecOf(ending), file.subarray(at, at + headBytes(codecOf(ending))));
    if (member === null) throw new Error(`no member at ${at} of ${path}`);
    members.push({ at, bytes: member.bytes, lines: member.lines });
    at += member.bytes;
  }
  return members;
}
