import { ForebayError } from '../../base/errors.js';
import { eventLine, idOfLine } from '../../event/event.js';
import { EventScan } from '../../event/event-scan.js';
import { errorAnswer } from '../../seams/http-answer.js';
import { sourceKind } from '../../seams/source-kind.js';
import type { SourceBase } from '../../seams/source-kind.js';
import type { Source } from '../../seams/source.js';
import type { Values } from '../../settings/option-table.js';
import { CLOUDEVENTS_SETTINGS, cloudEventsReader } from '../cloudevents/cloudevents-source.js';
import { handshakeWith } from '../cloudevents/handshake.js';
import { isLenient } from '../events-reader.js';
import { JsonReader } from '../json-reader.js';
import { bodyFormat } from '../media-type.js';
import { NdjsonReader } from './ndjson-reader.js';

const PLAIN: Pick<Source, 'isFast' | 'readerFor' | 'refused'> = {
  isFast: true,
  readerFor: (head, limits) => {
    const cloudEvents = cloudEventsReader(head, limits);
    if (cloudEvents !== null) return cloudEvents;
    const type = head.header('content-type');
    const format = bodyFormat(type, head.isOfPage);
    if (format === null) {
      throw new ForebayError('UNSUPPORTED_MEDIA_TYPE', {
        message: `Content-Type must be application/json or application/x-ndjson in UTF-8, ${type === undefined ? 'and is missing' : `not ${type}`}`,
      });
    }
    const scan = new EventScan(limits.depthMax);
    const how = { limits, isLenient: isLenient(head), line: eventLine, id: idOfLine, scan };
    return format === 'ndjson'
      ? (_lengthDeclared, ids) => new NdjsonReader(how, ids)
      : (lengthDeclared, ids) => new JsonReader(how, lengthDeclared, ids);
  },
  refused: (error) => errorAnswer(error),
};

/** Plain events: one as a JSON object, many as a JSON array or as NDJSON. CloudEvents, too, if a request says so. */
export const eventsKind = sourceKind({
  name: 'events',
  help: 'events as JSON objects with id, type and data: one, an array, or NDJSON; CloudEvents, too',
  curl: `curl localhost:8081/events -H 'content-type: application/json' -d '{"id":"evt-1","type":"signup","data":{"user":42}}'`,
  path: '/events',
  settings: CLOUDEVENTS_SETTINGS,
  open: eventsSource,
});

/** The source that every server has unless it is switched off. */
export const events = eventsSource(
  { name: 'events', path: '/events', limits: { eventBytesMax: null, bodyBytesMax: null } },
  { webhookOrigins: [] },
);

function eventsSource(base: SourceBase, { webhookOrigins }: Values<typeof CLOUDEVENTS_SETTINGS>): Source {
  return { ...base, ...PLAIN, ...handshakeWith(base.name, webhookOrigins) };
}
