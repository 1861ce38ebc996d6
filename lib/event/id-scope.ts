import type { SipHash } from './sip-hash.js';

/** Before the number of a holder. No UTF-8 has this byte, so no id hashes to the same. */
const HOLDER = 0xfd;

export type IdMask = readonly [number, number, number];

/** Whose ids they are: those of one scope never meet those of another. */
export interface IdScope {
  /** The name of the source. */
  readonly source: string;
  readonly hash: SipHash;
  /** The number of the holder of the key, of 40 bits; `null`: there is none. */
  readonly holder: number | null;
  /** Mixed into each id: `maskOf` the holder. */
  readonly mask: IdMask;
  /** How long ids are kept, in milliseconds. */
  readonly windowMs: number;
  /** Whether an event with the id of another one is refused. */
  readonly refusesConflicts: boolean;
  /** Events of its last request: the next one may bring as many. */
  lastEvents: number;
}

/** What is mixed into the ids of a holder. */
export function maskOf(hash: SipHash, holder: number | null): IdMask {
  if (holder === null) return [0, 0, 0];
  const bytes = Buffer.alloc(6, HOLDER);
  bytes.writeUIntBE(holder, 1, 5);
  hash.hash(bytes, 0, bytes.length);
  return [hash.a, hash.b, hash.c];
}
