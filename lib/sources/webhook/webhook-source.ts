import { errorAnswer, jsonAnswer } from '../../seams/http-answer.js';
import type { HttpAnswer } from '../../seams/http-answer.js';
import type { SourceBase } from '../../seams/source-kind.js';
import type { RequestHead, Source } from '../../seams/source.js';
import type { MayBeJson } from './body.js';
import { inHead } from './place.js';
import type { WebhookValues } from './webhook-settings.js';
import { WebhookReader } from './webhook-reader.js';
import type { Handshake, Webhook, WebhookSettings } from './webhook-reader.js';

/** What a kind of webhook has besides its settings. */
export interface WebhookExtras extends Pick<Source, 'verify' | 'close'> {
  /** The body of the answer when the event is on disk, if it is not the usual one. */
  readonly answer?: HttpAnswer;
  readonly handshake?: Handshake;
}

const FORM = /^\s*(?:application\/x-www-form-urlencoded|multipart\/)/i;
const TEXT = /^\s*text\//i;
/** A `401` must name a scheme (RFC 9110, 15.5.2). */
const CHALLENGE = { 'WWW-Authenticate': 'Signature' };

/** A source that makes one event of any body. */
export function webhookSource(
  base: SourceBase,
  values: WebhookValues,
  { answer, handshake, ...checks }: WebhookExtras = {},
): Source {
  const { ids, types, typeDefault, headers, query, keepBody, status } = values;
  const settings: WebhookSettings = {
    source: base.name,
    typeDefault: typeDefault ?? base.name,
    keepBody,
    answer: answer ?? jsonAnswer(status, { status: 'accepted' }),
    answerToDuplicate: answer ?? jsonAnswer(status, { status: 'accepted', duplicate: true }),
    handshake: handshake ?? null,
  };
  return {
    ...base,
    ...checks,
    isFast: true,
    readerFor: (head, limits) => {
      const hook: Webhook = {
        settings,
        limits,
        mayBeJson: mayBeJson(head.header('content-type') ?? ''),
        ids: inHead(ids, head),
        types: inHead(types, head),
        besides: headersOf(head, headers) + (query === 'on' ? queryOf(head) : ''),
      };
      return (lengthDeclared, eventIds) => new WebhookReader(hook, lengthDeclared, eventIds);
    },
    refused: (error) => errorAnswer(error, error.code === 'SIGNATURE_WRONG' ? CHALLENGE : {}),
  };
}

function mayBeJson(type: string): MayBeJson {
  if (FORM.test(type)) return 'none';
  return TEXT.test(type) ? 'structured' : 'any';
}

/** The member with the headers that are kept, if the request has any of them. */
function headersOf(head: RequestHead, names: readonly string[]): string {
  const members = names.flatMap((name) => {
    const value = head.header(name);
    return value === undefined ? [] : [`${JSON.stringify(name)}:${JSON.stringify(value)}`];
  });
  return members.length === 0 ? '' : `,"headers":{${members.join(',')}}`;
}

function queryOf({ target }: RequestHead): string {
  const at = target.indexOf('?');
  return at === -1 ? '' : `,"query":${JSON.stringify(target.slice(at + 1))}`;
}
