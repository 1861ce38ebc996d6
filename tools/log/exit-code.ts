import { WRONG_SETTING_EXIT } from '../../lib/settings/setting-error.js';

/** Exit codes of the tool, for scripts. */
export const EXIT = {
  /** Everything checked is sound, or was made sound. */
  sound: 0,
  /** Something is damaged, unreadable or missing. */
  damaged: 1,
  /** The directory or the output cannot be used. Says nothing about the log. */
  unusable: 2,
  /** Ctrl-C ended it in the middle, as a shell says it: 128 and the number of the signal. */
  interrupted: 130,
  /** A wrong flag, variable or command: nothing was done. */
  wrongSetting: WRONG_SETTING_EXIT,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];
