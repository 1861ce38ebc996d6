import type { Mutant } from './mutants.js';

const LOST = /was acknowledged and is lost/;
const NOT_STORED = /was acknowledged and is lost|was answered as a \w+, and was not stored before/;
const ID_TWICE = /^VIOLATED: the id .* is stored twice/;

/** Faults in the log in a stream, and what the simulation must say about them. */
export const STREAM_MUTANTS: readonly Mutant[] = [
  {
    name: 'acknowledges before the servers did',
    breaks: 'N3',
    edits: [
      {
        file: 'lib/logs/jetstream/appender.ts',
        find: 'await publisher.store(subject, data, id, deadline);',
        replace: 'publisher.store(subject, data, id, deadline).catch(() => undefined);',
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
        find: 'this.send(subject, data, head, deadline)',
        replace:
          '(head.set(MESSAGE_ID, `${id}-${performance.now()}`), this.send(subject, data, head, deadline))',
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
    from: 50_010,
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
    from: 4025,
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
        find: 'await this.#setAside(seq, message);',
        replace: 'this.#setAside(seq, []).catch(() => undefined);',
      },
    ],
    violates: /was damaged, and its line is lost/,
    from: 9320,
  },
  {
    name: 'takes compressed messages for damaged ones',
    breaks: 'N2',
    edits: [
      {
        file: 'lib/logs/jetstream/message.ts',
        find: 'const isCompressed = isGzip(data)',
        replace: 'const isCompressed = data.length < 0',
      },
    ],
    violates: /is lost/,
  },
  {
    name: 'sets aside of a damaged compressed message what can be read',
    breaks: 'N7',
    edits: [
      {
        file: 'lib/logs/jetstream/message.ts',
        find: 'isCompressed && isDamaged ? [message]',
        replace: 'isCompressed && isDamaged ? [bytes]',
      },
    ],
    violates: /was damaged, and its line is lost/,
  },
  {
    name: 'lets messages pass in the order in which they come',
    breaks: 'N6',
    edits: [
      {
        file: 'lib/logs/jetstream/order-gate.ts',
        find: 'first === undefined || (first.fromSeq > this.#nextSeq && first.seq > oldestSeq)',
        replace: 'first === undefined',
      },
    ],
    violates: /came out of order/,
  },
  {
    name: 'remembers an id whose event nobody has stored',
    breaks: 'N14',
    edits: [
      {
        file: 'lib/intake/id-intake.ts',
        find: "if (error === null && fresh.findingOf(index) !== 'conflict') table.keep(place, nowS);",
        replace: 'if (error !== undefined) table.keep(place, nowS);',
      },
    ],
    violates: NOT_STORED,
  },
  {
    name: 'takes an id that another instance is about to store for one that is stored',
    breaks: 'N14',
    from: 22,
    edits: [
      {
        file: 'lib/logs/jetstream/ids/id-commits.ts',
        find: "if (known.size === 0) return { ...answer, fate: answer.fate === 'full' ? 'full' : 'refused' };",
        replace: 'if (known.size === 0) return { bytes: 0 };',
      },
    ],
    violates: NOT_STORED,
  },
  {
    name: 'stores an id whether or not it is stored already',
    breaks: 'N14',
    edits: [
      {
        file: 'lib/logs/jetstream/ids/id-message.ts',
        find: "[EXPECTED_LAST, '0'],\n    [KEPT, kept],",
        replace: '[KEPT, kept],',
      },
    ],
    violates: ID_TWICE,
  },
  {
    name: 'lets ids go soon after their events were stored',
    breaks: 'N14',
    edits: [
      {
        file: 'lib/logs/jetstream/ids/id-commits.ts',
        find: 'keptFor(Math.max(ids.scope.windowMs, keptMsLeast))',
        replace: 'keptFor(1000)',
      },
    ],
    violates: ID_TWICE,
  },
  {
    name: 'lets an id of one source swallow that of another',
    breaks: 'N14',
    from: 40,
    edits: [
      {
        file: 'lib/logs/jetstream/ids/id-message.ts',
        find: 'bytes.writeUIntBE(tagOf(source), 0, TAG_BYTES);',
        replace: 'bytes.writeUIntBE(tagOf(source.slice(0, 0)), 0, TAG_BYTES);',
      },
    ],
    violates: NOT_STORED,
  },
  {
    name: 'hashes ids with a secret of its own',
    breaks: 'N14',
    edits: [
      {
        file: 'lib/logs/jetstream/ids/id-secret.ts',
        find: 'if (found?.data.length === SIP_KEY_BYTES) return found.data;',
        replace: 'if (found?.data.length === SIP_KEY_BYTES) return newSecret();',
      },
    ],
    violates: ID_TWICE,
  },
  {
    name: 'keeps a pause to the instance that was asked for it',
    breaks: 'N15',
    edits: [
      { file: 'lib/logs/jetstream/stream-pauses.ts', find: 'this.#changed(this.#pause);', replace: '' },
    ],
    violates: /hangs: an instance does not hear of (a|the end of a) pause/,
  },
  {
    name: 'takes a pause that a changed setting has undone for one that has ended',
    breaks: 'N15',
    edits: [
      {
        file: 'lib/logs/jetstream/stream-pauses.ts',
        find: 'return a.changes < b.changes ||',
        replace: 'return (a.changes > b.changes && a.changes < b.changes) ||',
      },
    ],
    violates: /hangs: an instance does not hear of a pause|has paused delivery, and an attempt starts/,
  },
];
