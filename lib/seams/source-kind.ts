import type { Logger } from '../base/reporter.js';
import { bytes, CheckError, idWindow, oneOf, optional } from '../settings/checks.js';
import { unknown } from '../settings/unknown.js';
import { fromKeys } from '../settings/option-table.js';
import type { OptionTable, Values } from '../settings/option-table.js';
import type { DeclaredSource } from '../settings/source-settings.js';
import type { Source, SourceLimits } from './source.js';

/** Settings of a source, whatever its kind. */
export const SHARED_SETTINGS = {
  format: {
    flag: 'format',
    initial: null,
    unit: 'KIND',
    help: 'its kind; without: the kind with the name of the source',
    check: optional(String),
  },
  path: {
    flag: 'path',
    initial: null,
    unit: 'PATH',
    help: 'where it is; without: /in/NAME',
    check: optional(path),
  },
  eventBytesMax: {
    flag: 'event-max',
    initial: null,
    unit: 'BYTES',
    help: 'the largest event; without: --event-max',
    check: optional(bytes(1)),
  },
  bodyBytesMax: {
    flag: 'body-max',
    initial: null,
    unit: 'BYTES',
    help: 'the largest body, at most --body-max',
    check: optional(bytes(1)),
  },
  keyRule: {
    flag: 'key',
    initial: null,
    unit: 'required|none',
    help: 'whether its senders need a key (--keys-file); without: unless they sign',
    check: optional(oneOf('required', 'none')),
  },
  idWindowMs: {
    flag: 'id-window',
    initial: null,
    unit: 'TIME',
    help: 'how long an id is remembered, so that its event is stored once; 0: not at all',
    check: optional(idWindow),
  },
  idConflict: {
    flag: 'id-conflict',
    initial: null,
    unit: 'accept|reject',
    help: 'an event whose id came within that time with other content: a duplicate as well, or 409',
    check: optional(oneOf('accept', 'reject')),
  },
  keyMember: {
    flag: 'key-member',
    initial: null,
    unit: 'NAME',
    help: 'a member that each event gets, with the name of its key; without: none',
    check: optional(memberName),
  },
} as const satisfies OptionTable;

/** What is the same for all kinds of sources. */
export interface SourceBase {
  readonly name: string;
  readonly path: string;
  readonly limits: SourceLimits;
}

export interface SourceContext {
  readonly logger: Logger;
  /** The time in milliseconds since 1970; `Date.now` by default. For tests. */
  readonly now?: () => number;
}

/** A kind of source: its settings, and how to open it. */
export interface SourceKind {
  /** The value of `format`. A source of this name is of this kind unless it says otherwise. */
  readonly name: string;
  /** What it takes, for the help text. */
  readonly help: string;
  /** A flag that declares a source of this name, for the help text; without: it is always there. */
  readonly flag?: string;
  /** A command that sends to a source of this name on the default port, for the help text. */
  readonly curl: string;
  /** Where the source of the same name is, if not at `/in/NAME`. */
  readonly path?: string;
  /** How long ids are remembered by default, in milliseconds: if senders promise that an id is that of one event. */
  readonly idWindowMs?: number;
  /** Settings beside those of all sources. */
  readonly settings: OptionTable;
  /** @throws ForebayError `SETTING_INVALID` */
  readonly open: (declared: DeclaredSource, context: SourceContext) => Source;
}

/** Makes a kind whose `open` gets the values of its own settings. */
export function sourceKind<const Table extends OptionTable>({
  open,
  ...about
}: Pick<SourceKind, 'name' | 'help' | 'flag' | 'curl' | 'path' | 'idWindowMs'> & {
  readonly settings: Table;
  readonly open: (base: SourceBase, values: Values<Table>, context: SourceContext) => Source;
}): SourceKind {
  return {
    ...about,
    open: ({ name, given }, context) => {
      const settings = Object.entries(given === false ? {} : given);
      const own = new Set(Object.values(about.settings).map(({ flag }) => flag));
      const known = [...own, ...Object.values(SHARED_SETTINGS).map(({ flag }) => flag)];
      const stray = settings.find(([key]) => !known.includes(key))?.[0];
      if (stray !== undefined)
        throw unknown('setting', `"${stray}"`, known, (like) => `"${like}"`, ` of ${placeOf(name)}`);
      const ofKind = Object.fromEntries(settings.filter(([key]) => own.has(key)));
      const ofAll = Object.fromEntries(settings.filter(([key]) => !own.has(key)));
      const values = fromKeys(about.settings, ofKind, placeOf(name));
      const shared = fromKeys(SHARED_SETTINGS, ofAll, placeOf(name));
      const { path: at, eventBytesMax, bodyBytesMax, ...ofAnyKind } = shared;
      const { idWindowMs: idWindowDefaultMs = null } = about;
      const usual = (name === about.name ? about.path : null) ?? `/in/${name}`;
      const base = { name, path: at ?? usual, limits: { eventBytesMax, bodyBytesMax } };
      // here, so that no kind can forget it
      return Object.assign(open(base, values, context), { ...ofAnyKind, idWindowDefaultMs });
    },
  };
}

/** Where the settings of a source are, for errors. */
export function placeOf(name: string): string {
  return `the source ${name}`;
}

/** Members that events have for other reasons. */
const TAKEN = new Set([
  'id',
  'type',
  'data',
  'data_base64',
  'timestamp',
  'source',
  'specversion',
  'headers',
  'query',
  'body',
]);

function memberName(given: unknown): string {
  if (typeof given === 'string' && /^[a-z]\w{0,31}$/i.test(given) && !TAKEN.has(given)) return given;
  throw new CheckError(
    'must be a name of at most 32 letters, digits and _, which no event has for another reason',
  );
}

/** The fast path takes no other characters. */
function path(given: unknown): string {
  if (typeof given === 'string' && /^\/[!-"$->@-~]*$/.test(given)) return given;
  throw new CheckError('must be a path like /in/github, without a query');
}
