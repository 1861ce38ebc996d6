import { ForebayError } from '../../base/errors.js';
import { errorAnswer } from '../../seams/http-answer.js';
import { sourceKind } from '../../seams/source-kind.js';
import type { Limits, NewReader, RequestHead } from '../../seams/source.js';
import { listOf } from '../../settings/checks.js';
import type { OptionTable } from '../../settings/option-table.js';
import { isLenient } from '../events-reader.js';
import { JsonReader } from '../json-reader.js';
import { mediaType } from '../media-type.js';
import { REQUIRED } from './attributes.js';
import { BinaryReader, binaryHead, PREFIX } from './binary-reader.js';
import { handshakeWith } from './handshake.js';
import { structuredId, structuredLine } from './structured.js';

const MEDIA_TYPES = 'application/cloudevents';
const FORMS = {
  'application/cloudevents+json': 'one',
  'application/cloudevents-batch+json': 'many',
} as const;

/** The settings of each source that takes CloudEvents. */
export const CLOUDEVENTS_SETTINGS = {
  webhookOrigins: {
    flag: 'webhook-origins',
    initial: '',
    unit: 'NAMES',
    help: 'senders whose handshake is answered with yes: names like eventgrid.example; *: all',
    check: listOf('a name like eventgrid.example, or *', (name) => /^(?:\*|[a-z\d][a-z\d._-]*)$/i.test(name)),
  },
} as const satisfies OptionTable;

/**
 * How to read the bodies of requests with this head.
 *
 * @returns `null` if it is no CloudEvent: neither its `Content-Type` says so, nor one of its headers
 * @throws ForebayError if a CloudEvent with this head is refused
 */
export function cloudEventsReader(head: RequestHead, limits: Limits): NewReader | null {
  const type = head.header('content-type') ?? '';
  if (type.slice(0, MEDIA_TYPES.length).toLowerCase() === MEDIA_TYPES) {
    const { essence = '', isUtf8 = false } = mediaType(type) ?? {};
    const form = isUtf8 && isForm(essence) ? FORMS[essence] : null;
    if (form === null) throw unsupported(type);
    const how = { limits, isLenient: isLenient(head), line: structuredLine, id: structuredId, scan: null };
    return (lengthDeclared, ids) => new JsonReader(how, lengthDeclared, ids, form);
  }
  const headers = head.headersWith(PREFIX);
  if (!REQUIRED.some((name) => headers.has(PREFIX + name))) return null;
  const binary = binaryHead(head, limits);
  return (lengthDeclared, ids) => new BinaryReader(binary, lengthDeclared, ids);
}

/** CloudEvents 1.0 over HTTP: one in JSON, a batch in JSON, or one in headers with its data as the body. */
export const cloudeventsKind = sourceKind({
  name: 'cloudevents',
  help: 'CloudEvents 1.0: structured, batched or binary',
  flag: '--source cloudevents',
  curl: `curl localhost:8081/in/cloudevents -H 'content-type: application/cloudevents+json' -d '{"specversion":"1.0","id":"evt-1","source":"/shop","type":"com.example.signup","data":{"user":42}}'`,
  settings: CLOUDEVENTS_SETTINGS,
  open: (base, { webhookOrigins }) => ({
    ...base,
    ...handshakeWith(base.name, webhookOrigins),
    isFast: true,
    readerFor: (head, limits) => {
      const newReader = cloudEventsReader(head, limits);
      if (newReader === null) throw unsupported(head.header('content-type'));
      return newReader;
    },
    refused: (error) => errorAnswer(error),
  }),
});

function isForm(essence: string): essence is keyof typeof FORMS {
  return Object.hasOwn(FORMS, essence);
}

function unsupported(type: string | undefined): ForebayError {
  const message = `A CloudEvent must have a Content-Type of ${Object.keys(FORMS).join(' or ')} in UTF-8, or the header ce-specversion; Content-Type ${type === undefined ? 'is missing' : `is ${type}`}`;
  return new ForebayError('UNSUPPORTED_MEDIA_TYPE', { message });
}
