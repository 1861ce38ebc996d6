import { WRONG_SETTING_EXIT } from '../../lib/settings/setting-error.js';

/** What the tool says to a script. */
export const EXIT = {
  /** All that was looked at is sound, or was made so. */
  sound: 0,
  /** Something is damaged, unreadable or not to be had. */
  damaged: 1,
  /** A directory that cannot be used, output that nobody takes: nothing is said about the log. */
  unusable: 2,
  /** A wrong flag, variable or command: nothing was tried. */
  wrongSetting: WRONG_SETTING_EXIT,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];
