import { hasEvents } from '../../../lib/logs/jetstream/stream-names.js';
import { expanded, lettersOf, validTexts } from '../surviving-log.js';
import type { SurvivingLog } from '../surviving-log.js';
import type { SimulatedServers } from './simulated-servers.js';
import type { SimulatedStream, StoredMessage } from './simulated-stream.js';

/** What the streams hold. A message is what a file of one batch is, under the number that it has in the stream. */
export function readSurvivingStream({ events, letters, quarantine }: SimulatedServers): SurvivingLog {
  const messages = eventMessages(events);
  return {
    texts: new Set(messages.flatMap(({ data }) => validTexts(linesInMessage(data)))),
    batches: new Map(messages.map(({ seq, data }) => [String(seq), data])),
    quarantine: new Map(
      [...quarantine.messages.values()].map(({ subject, data }) => [seqOfSubject(subject), data]),
    ),
    deadLetters: new Set([...letters.messages.values()].flatMap(({ data }) => lettersOf(data))),
  };
}

/** What gzip starts with. */
const GZIP_START = Buffer.of(0x1f, 0x8b);

export function isCompressed(data: Buffer): boolean {
  return data.subarray(0, GZIP_START.length).equals(GZIP_START);
}

/** The lines of a message; none of compressed ones that are damaged. */
export function linesInMessage(data: Buffer): Buffer {
  return isCompressed(data) ? (expanded(data) ?? Buffer.alloc(0)) : data;
}

/** Those with events; the others are ids. */
export function eventMessages({ name, messages }: SimulatedStream): StoredMessage[] {
  return [...messages.values()].filter(({ subject }) => hasEvents(name, subject));
}

/** The message that something set aside comes from: `forebay-dead-letters.STREAM.SEQ.INDEX`, `forebay-quarantine.SEQ`. */
export function seqOfSubject(subject: string): string {
  return (subject.split('.').length > 2 ? subject.split('.')[2] : subject.split('.')[1]) ?? '';
}

/** Batches that left their place, by the messages in them: another instance cuts others of the same messages. */
export class BatchesAside extends Set<string> {
  readonly #seqs = new Set<number>();

  override add(name: string): this {
    for (const seq of seqsOf(name)) this.#seqs.add(seq);
    return this;
  }

  override has(name: string): boolean {
    return seqsOf(name).some((seq) => this.#seqs.has(seq));
  }
}

function seqsOf(name: string): number[] {
  const [, from, to] = /^events_(\d+)(?:-(\d+))?/.exec(name) ?? [];
  const first = Number(from);
  return Array.from({ length: Number(to ?? from) - first + 1 }, (_each, index) => first + index);
}
