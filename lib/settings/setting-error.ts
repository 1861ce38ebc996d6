import { ForebayError } from '../base/errors.js';

/** Exit status of a process with a wrong setting: `EX_CONFIG` of `sysexits.h`. Starting it again cannot help. */
export const WRONG_SETTING_EXIT = 78;

/** The error for a wrong setting. The message names it. */
export function invalid(message: string): ForebayError {
  return new ForebayError('SETTING_INVALID', { message });
}

export function isWrongSetting(error: unknown): boolean {
  return error instanceof ForebayError && error.code === 'SETTING_INVALID';
}
