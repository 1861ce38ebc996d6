import {
  CheckError,
  headerName,
  isHeaderName,
  listOf,
  oneOf,
  optional,
  text,
} from '../../settings/checks.js';
import { wholeNumber } from '../../settings/checks.js';
import type { OptionTable, Values } from '../../settings/option-table.js';
import { places } from './place.js';

/** What differs between the kinds of webhooks. */
export interface WebhookDefaults {
  readonly id?: string;
  readonly type?: string;
  readonly status?: number;
}

/** The settings of all kinds of webhooks, with the defaults of one. */
export function webhookSettings({ id = '', type = '', status = 202 }: WebhookDefaults = {}) {
  return {
    ids: {
      flag: 'id',
      initial: id,
      unit: 'header:NAME|/POINTER',
      help: 'where the id is: a list, the first that is found; without: one is made',
      check: places,
    },
    types: {
      flag: 'type',
      initial: type,
      unit: 'header:NAME|/POINTER',
      help: 'where the type is: a list, the first that is found',
      check: places,
    },
    typeDefault: {
      flag: 'type-default',
      initial: null,
      unit: 'TEXT',
      help: 'the type if none is found; without: the name of the source',
      check: optional(text),
    },
    headers: {
      flag: 'headers',
      initial: '',
      unit: 'NAMES',
      help: 'headers that the event keeps',
      check: headerNames,
    },
    query: {
      flag: 'query',
      initial: 'off',
      unit: 'on|off',
      help: 'whether the event keeps the query of the request',
      check: oneOf('on', 'off'),
    },
    keepBody: {
      flag: 'keep-body',
      initial: 'changed',
      unit: 'changed|always|never',
      help: 'when the event also has the text of the body in `body`: if `data` is not that text byte for byte',
      check: oneOf('changed', 'always', 'never'),
    },
    status: {
      flag: 'status',
      initial: status,
      unit: 'STATUS',
      help: 'the status of the answer when the event is on disk',
      check: successStatus,
    },
  } as const satisfies OptionTable;
}

export type WebhookValues = Values<ReturnType<typeof webhookSettings>>;

const asStatus = wholeNumber(200, 299);

/** An answer with one of these has no body, and would be framed in another way. */
const BODILESS = [204, 205];

function successStatus(given: unknown): number {
  const status = asStatus(given);
  if (!BODILESS.includes(status)) return status;
  throw new CheckError('must be a status whose answer has a body');
}

const asNames = listOf('the name of a header', isHeaderName);

function headerNames(given: unknown): readonly string[] {
  return asNames(given).map(headerName);
}
