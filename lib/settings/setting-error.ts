import { ForebayError } from '../base/errors.js';

/** How a process ends that has a wrong setting: `EX_CONFIG` of `sysexits.h`. Starting it again cannot help. */
export const WRONG_SETTING_EXIT = 78;

/** A setting is wrong; the message names it. */
export function invalid(message: string): ForebayError {
  return new ForebayError('SETTING_INVALID', { message });
}

export function isWrongSetting(error: unknown): boolean {
  return error instanceof ForebayError && error.code === 'SETTING_INVALID';
}
