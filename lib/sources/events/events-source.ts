import { ForebayError } from '../../base/errors.js';
import { EventScan } from '../../event/event-scan.js';
import { errorAnswer } from '../../seams/http-answer.js';
import { sourceKind } from '../../seams/source-kind.js';
import type { SourceBase } from '../../seams/source-kind.js';
import type { Source } from '../../seams/source.js';
import { JsonReader } from './json-reader.js';
import { bodyFormat } from './media-type.js';
import { NdjsonReader } from './ndjson-reader.js';

/** In `Prefer`: the client asks for a result of each event (RFC 7240, 4.4). */
const LENIENT = /(?:^|,)\s*handling\s*=\s*"?lenient"?\s*(?:[,;]|$)/i;

const PLAIN: Pick<Source, 'isFast' | 'readerFor' | 'refused'> = {
  isFast: true,
  readerFor: (head, limits) => {
    const type = head.header('content-type');
    const format = bodyFormat(type);
    if (format === null) {
      throw new ForebayError('UNSUPPORTED_MEDIA_TYPE', {
        message: `Content-Type must be application/json or application/x-ndjson in UTF-8, ${type === undefined ? 'and is missing' : `not ${type}`}`,
      });
    }
    const prefer = head.header('prefer');
    const isLenient = prefer !== undefined && LENIENT.test(prefer);
    const how = { limits, isLenient, scan: new EventScan(limits.depthMax) };
    return format === 'ndjson'
      ? () => new NdjsonReader(how)
      : (lengthDeclared) => new JsonReader(how, lengthDeclared);
  },
  refused: (error) => errorAnswer(error),
};

/** Plain events: one as a JSON object, many as a JSON array or as NDJSON. */
export const eventsKind = sourceKind({
  name: 'events',
  help: 'events as JSON objects with id, type and data: one, an array, or NDJSON',
  curl: `curl localhost:8081/events -H 'content-type: application/json' -d '{"id":"evt-1","type":"signup","data":{"user":42}}'`,
  path: '/events',
  settings: {},
  open: eventsSource,
});

/** The source that every server has unless it is switched off. */
export const events = eventsSource({
  name: 'events',
  path: '/events',
  limits: { eventBytesMax: null, bodyBytesMax: null },
});

function eventsSource(base: SourceBase): Source {
  return { ...base, ...PLAIN };
}
