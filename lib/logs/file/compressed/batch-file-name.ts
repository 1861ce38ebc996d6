import { isBatchName } from '../batch-name.js';

/** The endings of compressed batch files; a file without one has its lines as they were appended. */
export const ENDINGS = ['.gz', '.zst'] as const;
export type Ending = (typeof ENDINGS)[number];

/** A file that holds a batch: the name of the batch, and the ending of the file after it. */
export interface BatchFileName {
  /** `batch_….jsonl`: the same whether the file is compressed or not. */
  readonly name: string;
  readonly ending: Ending | '';
}

/** `null`: it is the name of no batch file. */
export function batchFileName(file: string): BatchFileName | null {
  const ending = ENDINGS.find((each) => file.endsWith(each)) ?? '';
  const name = ending === '' ? file : file.slice(0, -ending.length);
  return isBatchName(name) ? { name, ending } : null;
}
