import { moment, oneOf, onOff, optional, text } from '../../../lib/settings/checks.js';
import type { OptionTable } from '../../../lib/settings/option-table.js';
import { SINK_SETTINGS } from '../../../lib/sinks/registry.js';
import { FRONT_DOOR_SETTINGS } from '../front-door.js';

/** What only `replay` takes. */
export const REPLAY_SETTINGS = {
  from: {
    flag: 'from',
    initial: null,
    unit: 'TIME',
    help: 'replay: batches that came at this time or later: 2026-11-01T08:00:00Z, 2026-11-01, or 2h for 2 hours ago',
    check: optional(moment),
  },
  to: {
    flag: 'to',
    initial: null,
    unit: 'TIME',
    help: 'replay: and before this time; without: until now',
    check: optional(moment),
  },
  type: {
    flag: 'type',
    initial: null,
    unit: 'TEXT',
    help: 'replay: only events of this type; may be given more than once',
    isRepeatable: true,
    check: texts,
  },
  source: {
    flag: 'source',
    initial: null,
    unit: 'NAME',
    help: 'replay: only events that came to this source, or that have it as their source; may be given more than once',
    isRepeatable: true,
    check: texts,
  },
  ...FRONT_DOOR_SETTINGS,
  idWindow: {
    flag: 'id-window',
    initial: 'check',
    unit: 'check|pass',
    help: 'replay: pass: store also events whose ids the id window of the server knows',
    check: oneOf('check', 'pass'),
  },
  dryRun: { flag: 'dry-run', initial: false, unit: '', help: 'replay: only count', check: onOff },
  yes: { flag: 'yes', initial: false, unit: '', help: 'replay: yes, send these events again', check: onOff },
  startOver: {
    flag: 'start-over',
    initial: false,
    unit: '',
    help: 'replay: forget where an unfinished one has come to',
    check: onOff,
  },
} as const satisfies OptionTable;

/** The sink of a server that does not run; without `--sink` events go to one that runs. */
export const REPLAY_SINK_SETTINGS = {
  ...SINK_SETTINGS,
  sink: {
    ...SINK_SETTINGS.sink,
    initial: null,
    help: 'replay: where to deliver them without a server, with its settings as the server has them',
    check: optional(SINK_SETTINGS.sink.check),
  },
} as const satisfies OptionTable;

/** One text, or several. */
function texts(given: unknown): readonly string[] {
  return given === null ? [] : [given].flat().map(text);
}
