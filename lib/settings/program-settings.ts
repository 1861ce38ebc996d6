import { onOff } from './checks.js';
import type { OptionTable } from './option-table.js';

/** Settings of every program. */
export const PROGRAM_SETTINGS = {
  help: { flag: 'help', initial: false, unit: '', help: 'print this; also -h', check: onOff },
  version: { flag: 'version', initial: false, unit: '', help: 'print the version; also -v', check: onOff },
} as const satisfies OptionTable;
