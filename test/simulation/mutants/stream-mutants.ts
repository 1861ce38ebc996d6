import type { Mutant } from './mutants.js';

const LOST = /was acknowledged and is lost/;

/** Faults in the log in a stream, and what the simulation must say about them. */
export const STREAM_MUTANTS: readonly Mutant[] = [
  {
    name: 'acknowledges before the servers did',
    breaks: 'N3',
    edits: [
      {
        file: 'lib/logs/jetstream/stream-log.ts',
        find: 'await this.#publisher.store(subject, data, id, endMs);',
        replace: 'this.#publisher.store(subject, data, id, endMs).catch(() => undefined);',
      },
    ],
    violates: LOST,
  },
  {
    name: 'gives a message a new id at each attempt',
    breaks: 'N8',
    edits: [
      {
        file: 'lib/logs/jetstream/publisher.ts',
        find: 'head.set(MESSAGE_ID, id);',
        replace: 'head.set(MESSAGE_ID, `${id}-${performance.now()}`);',
      },
    ],
    violates: /stored twice/,
  },
  {
    name: 'takes a full stream for a refusal although an attempt before may have stored the event',
    breaks: 'N4',
    edits: [
      {
        file: 'lib/logs/jetstream/publisher.ts',
        find: "attempt.fate === 'full' && !isDoubtful",
        replace: "attempt.fate === 'full'",
      },
    ],
    violates: /was refused with BACKLOG_FULL (and came to the sink all the same|after the sink got it)/,
  },
  {
    name: 'says that nobody took an event that a server may have',
    breaks: 'N4',
    edits: [
      {
        file: 'lib/logs/jetstream/publisher.ts',
        find: "const code = isDoubtful ? 'IN_DOUBT' : 'LOG_FAILED';",
        replace: "const code = 'LOG_FAILED';",
      },
    ],
    violates: /was refused with LOG_FAILED (and came to the sink all the same|after the sink got it)/,
  },
  {
    name: 'confirms messages before the sink has their events',
    breaks: 'N9',
    edits: [
      {
        file: 'lib/logs/jetstream/stream-log.ts',
        find: ': this.#reader.read(batch);',
        replace: ': (await this.#held.confirm(batch.messages), this.#reader.read(batch));',
      },
    ],
    violates: LOST,
  },
  {
    name: 'does not say that it works on what it holds',
    breaks: 'N6',
    edits: [
      {
        file: 'lib/logs/jetstream/held-messages.ts',
        find: "for (const { reply } of this.#held.values()) nc.publish(reply, '+WPI');",
        replace: '',
      },
    ],
    violates: /was taken from instance \d+, which lives and holds it/,
  },
  {
    name: 'confirms a batch before its dead letters are stored',
    breaks: 'N9',
    edits: [
      {
        file: 'lib/logs/jetstream/stream-letters.ts',
        find: 'await Promise.all(\n        lines.map(',
        replace: 'void Promise.allSettled(\n        lines.map(',
      },
    ],
    violates: LOST,
    from: 3095,
  },
  {
    name: 'leaves the dead letters of events that the sink takes after all',
    breaks: 'N10',
    edits: [
      {
        file: 'lib/logs/jetstream/stream-letters.ts',
        find: 'await pLimit(ASKED_AT_ONCE).map(seqs, async (seq) =>',
        replace: 'await pLimit(ASKED_AT_ONCE).map([] as number[], async (seq) =>',
      },
    ],
    violates: /is a dead letter, and the sink has it/,
  },
  {
    name: 'confirms damaged lines before they are set aside',
    breaks: 'N7',
    edits: [
      {
        file: 'lib/logs/jetstream/stream-reader.ts',
        find: 'await this.#setAside(seq, lines.damaged);',
        replace: 'this.#setAside(seq, lines.damaged).catch(() => undefined);',
      },
    ],
    violates: /was damaged, and its line is lost/,
    from: 3050,
  },
  {
    name: 'lets messages pass in the order in which they come',
    breaks: 'N6',
    edits: [
      {
        file: 'lib/logs/jetstream/order-gate.ts',
        find: 'first === undefined || first.seq > Math.max(this.#nextSeq, oldestSeq)',
        replace: 'first === undefined',
      },
    ],
    violates: /came out of order/,
  },
  {
    name: 'keeps a pause to the instance that was asked for it',
    breaks: 'N15',
    edits: [
      { file: 'lib/logs/jetstream/stream-pauses.ts', find: 'this.#changed(this.#pause);', replace: '' },
    ],
    violates: /hangs: an instance does not hear of (a|the end of a) pause/,
  },
];
