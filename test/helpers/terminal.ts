import { spawnSync } from 'node:child_process';

/** `script` of util-linux gives a program a terminal. `false`, or why a test that needs one is left out. */
export const NO_TERMINAL = /util-linux/.test(String(spawnSync('script', ['--version']).stdout))
  ? false
  : 'no script of util-linux';
