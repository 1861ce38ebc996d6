import { hash } from 'node:crypto';

/** The names of what a log has on the servers. All come from one setting, so several logs may share the servers. */
export interface StreamNames {
  readonly events: string;
  readonly letters: string;
  readonly quarantine: string;
  /** The durable consumer that all instances share. */
  readonly consumer: string;
}

export function streamNames(log: string): StreamNames {
  return {
    events: `${log}-events`,
    letters: `${log}-dead-letters`,
    quarantine: `${log}-quarantine`,
    consumer: 'delivery-gzip',
  };
}

const STREAM_ID_DIGITS = 16;

/** Identifies a stream: one that is made again under its name has other events under the same numbers. */
export function streamIdOf(stream: string, created: string): string {
  return hash('sha256', `${stream} ${created}`, 'hex').slice(0, STREAM_ID_DIGITS);
}

/** The names of what belongs to one stream: a word about a message of an earlier one must not reach the consumer of this. */
export function namesOfStream(names: StreamNames, streamId: string): StreamNames {
  return { ...names, consumer: `${names.consumer}-${streamId}` };
}

/** The same, with the consumer of builds that cannot read compressed messages. */
export function earlierNamesOfStream(names: StreamNames, streamId: string): StreamNames {
  return { ...names, consumer: `delivery-${streamId}` };
}

/** All subjects of a stream. */
export function allSubjects(stream: string): string {
  return `${stream}.>`;
}

/** The subjects of messages with events: those of ids, which are in the same stream, have a token more. */
export function eventSubjects(stream: string): string {
  return `${stream}.*`;
}

/** The subjects of ids. */
export function idSubjects(stream: string): string {
  return `${stream}.id.>`;
}

/** The subject of the secret that ids are hashed with. */
export function secretSubject(stream: string): string {
  return `${stream}.secret.id`;
}

/** Whether a message of the stream of events has events. */
export function hasEvents(stream: string, subject: string): boolean {
  return !subject.includes('.', stream.length + 1);
}

/** The subject of a message names how many events it has: the servers count messages by subject, so they count events. */
export function eventsSubject({ events }: StreamNames, count: number): string {
  return `${events}.${count}`;
}

/** The number of events in a message, by its subject; 0 if it names none. */
export function eventsIn(subject: string): number {
  const count = Number(subject.slice(subject.lastIndexOf('.') + 1));
  return Number.isSafeInteger(count) && count > 0 ? count : 0;
}
