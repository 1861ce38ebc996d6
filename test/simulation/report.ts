import { METHODS } from './disk-faults.js';
import type { Tally } from './tally.js';
import { ODDITIES } from './worlds.js';

const SECTIONS: readonly (readonly [group: string, title: string])[] = [
  ['ends', 'How lives ended'],
  ['starts', 'Starts'],
  ['worlds', 'What was odd about worlds, and what came of it'],
  ['cuts', 'What was going on at the power cuts (often more than one thing)'],
  ['kills', 'What was going on at the kills'],
  ['events', 'Events'],
  ['ids', 'Events with ids that are remembered'],
  ['compression', 'Files that wait'],
  ['refusals', 'Answers that were errors'],
  ['sink', 'The sink'],
  ['stream', 'What the servers of the stream met'],
  ['device', 'What the device did'],
  ['faults', 'Faults of the disk'],
  ['checks', 'Checked, and held each time'],
];

/** The summary of a run, for people. */
export function report(tally: Tally, tookMs: number): string {
  const lines: string[] = [];
  for (const [group, title] of SECTIONS) {
    if (tally.rows(group).length === 0) continue;
    lines.push('', title);
    for (const [name, times] of tally.rows(group)) {
      lines.push(`  ${String(times).padStart(9)}  ${name}`);
    }
  }
  const steps = tally.of('runs', 'steps');
  lines.push('', `${tally.of('runs', 'seeds')} seeds, ${steps} steps, ${(tookMs / 1000).toFixed(1)} s`);
  lines.push(
    '',
    'HELD: no acknowledged event was lost, no refused or unknown event came out, none came out changed',
  );
  lines.push(
    'or before one that its client sent earlier, the counts added up at every step, and every run ended',
  );
  lines.push('with everything delivered.');
  return lines.join('\n');
}

/** What a long run must have seen, or it proves little. */
const EXPECTED: readonly (readonly [group: string, names: readonly string[]])[] = [
  ['ends', ['power cuts', 'kills', 'orderly stops', 'failed starts']],
  [
    'cuts',
    [
      'writing events',
      'flushing a file',
      'flushing the directory',
      'creating a batch file',
      'deleting a file',
      'cutting a failed end off',
      'reading a file',
      'reading the directory',
      'keeping ids',
      'starting',
      'replaying',
      'stopping',
    ],
  ],
  ['ids', ['acknowledged: new', 'acknowledged: duplicate', 'acknowledged: conflict']],
  ['events', ['acknowledged', 'delivered', 'delivered again', 'refused', 'left without an answer']],
  [
    'sink',
    [
      'attempts failed',
      'batches taken, and the answer lost',
      'batches cut off, and a part of them taken',
      'batches taken after their attempt had failed',
      'answers given again under their key',
      'batches confirmed',
    ],
  ],
  ['worlds', [...ODDITIES, 'batch files removed', 'batch files that cannot be read', 'steps of the clock']],
  [
    'device',
    [
      'pages torn',
      'unflushed pages kept',
      'unflushed pages lost',
      'new names lost',
      'deleted names that came back',
      'pages that a failed flush left clean and not written',
    ],
  ],
  [
    'faults',
    [
      'write: ENOSPC',
      'write: EIO',
      'fdatasync: EIO',
      'fsync: EIO',
      'open: EMFILE',
      'open: EROFS',
      'write: ENOSPC, the disk is full for a while',
      'write: ENOSPC, the disk has no room',
      'write: fewer bytes than asked for',
      'read: fewer bytes than asked for',
      'answers held up by a hanging disk',
    ],
  ],
];

/** The same for a stream. */
const EXPECTED_OF_STREAM: typeof EXPECTED = [
  ['ends', ['kills', 'freezes', 'orderly stops']],
  ['events', ['acknowledged', 'delivered', 'delivered again', 'refused', 'left without an answer']],
  ['refusals', ['BACKLOG_FULL', 'LOG_FAILED', 'IN_DOUBT']],
  [
    'stream',
    [
      'messages stored',
      'messages that were known by their id',
      'messages without room',
      'messages that were not confirmed in time',
      'messages lost on the way to an instance',
      'requests lost',
      'requests late',
      'requests doubled',
      'requests refused for want of resources',
      'answers lost',
      'answers late',
      'words lost',
      'leaders lost',
      'connections lost',
      'bits flipped',
    ],
  ],
];

/** What it did not see. */
export function enough(tally: Tally, flips: boolean, isStream: boolean): string[] {
  const missing = (isStream ? EXPECTED_OF_STREAM : EXPECTED).flatMap(([group, names]) =>
    names.filter((name) => tally.of(group, name) === 0).map((name) => `"${name}" (${group})`),
  );
  if (isStream) return missing;
  for (const method of METHODS) {
    if (method === 'lstat') continue; // the log does not call it at every version
    const seen = tally.rows('faults').some(([name]) => name.startsWith(`${method}:`));
    if (!seen) missing.push(`a failing ${method}`);
  }
  if (flips && tally.of('device', 'bits flipped') === 0) missing.push('a flipped bit');
  return missing;
}
