import { silentLogger } from '../../lib/base/reporter.js';
import { ForebayError } from '../../lib/base/errors.js';
import type { HttpAnswer } from '../../lib/seams/http-answer.js';
import type { SourceKind } from '../../lib/seams/source-kind.js';
import type { Limits, RequestHead, Source } from '../../lib/seams/source.js';

export type Headers = Readonly<Record<string, string>>;

/** What became of a request: its lines, or why it was refused. */
export type Outcome =
  { readonly lines: readonly string[]; readonly answer: HttpAnswer } | { readonly error: ForebayError };

export const LIMITS: Limits = { eventBytesMax: 2 ** 20, depthMax: 100, eventsMax: 10_000 };

/** A source of this kind, as the flags of a server declare it. */
export function sourceOf(kind: SourceKind, given: Readonly<Record<string, unknown>> = {}): Source {
  return kind.open({ name: kind.name, given }, { logger: silentLogger });
}

export function headOf(headers: Headers, target = '/'): RequestHead {
  const lower = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  return {
    target,
    header: (name) => lower.get(name),
    headersWith: (prefix) => new Map([...lower].filter(([name]) => name.startsWith(prefix))),
  };
}

/** Reads a request with no server in front. Throws what is no refusal. */
export function read(
  source: Source,
  headers: Headers,
  body: string | Buffer,
  limits: Partial<Limits> = {},
): Outcome {
  try {
    const reader = source.readerFor(headOf(headers), { ...LIMITS, ...limits })(0);
    reader.append(Buffer.from(body));
    reader.end();
    const { block } = reader;
    const lines = Array.from({ length: block.length }, (_, index) => block.lineOf(index).toString());
    return { lines, answer: reader.accepted() };
  } catch (error) {
    if (error instanceof ForebayError) return { error };
    throw error;
  }
}
