import { count } from '../../lib/base/words.js';
import { EXIT } from '../log/exit-code.js';
import type { ExitCode } from '../log/exit-code.js';
import type { Surroundings } from '../log/program.js';
import { drop } from './drop.js';
import type { LetterStore } from './letter-store.js';
import { doorForLetters, redrive } from './redrive.js';
import { find, noMatchText } from './selection.js';
import type { Found, Selection } from './selection.js';

/** Input and output of a command. */
export interface Look extends Pick<Surroundings, 'output' | 'tell' | 'interrupted'> {
  readonly store: LetterStore;
  /** The selected groups. */
  readonly names: readonly string[];
  readonly selection: Selection;
}

/** Finds the selected letters, records the operation, and does it. */
export async function change(
  look: Look,
  what: 'drop' | 'redrive',
  url: URL,
  key: string | null,
): Promise<ExitCode> {
  const { store, names, selection, output, tell } = look;
  const found = await find(store, names, selection);
  if (found.events === 0) return nothing(look, found, (line) => output.write(`${line}\n`));
  const operation = {
    what,
    selection: { reason: null, ...Object.fromEntries(selection.flags), names: selection.wanted.names },
    url: what === 'redrive' ? url : null,
    counts: { events: found.events, files: found.names.length },
  };
  const { counts, failures } = await store.recorded(operation, async () => {
    const done = await (what === 'drop'
      ? drop(store, found.names, selection.has)
      : redrive(store, found.names, selection.has, doorForLetters(url, look.interrupted(), key)));
    return { ...done, failures: [...found.failures, ...done.failures] };
  });
  const code = await exitCode(tell, failures);
  const events = count(counts.events, 'event');
  if (what === 'drop') await output.write(`${events} dropped\n`);
  else if (counts.events > 0) await output.write(`${events} sent again to ${url.origin}, and taken there\n`);
  if (code !== EXIT.sound && what === 'redrive') await tell(`what was not taken stays in ${store.place}`);
  // only a redrive looks at it
  return code !== EXIT.sound && what === 'redrive' && look.interrupted().aborted ? EXIT.interrupted : code;
}

/** Prints letters as they are. */
export async function show(look: Look): Promise<ExitCode> {
  const { store, names, selection, output, tell } = look;
  const failures: string[] = [];
  let shown = 0;
  for await (const { letters } of store.readEach(names, failures)) {
    const lines = letters.filter(selection.has).map(({ line }) => line);
    shown += lines.length;
    await output.write(Buffer.concat(lines));
  }
  // standard output holds only letters, for scripts
  if (shown === 0) return nothing(look, await find(store, names, selection), tell);
  return exitCode(tell, failures);
}

/** Reports what failed, and returns the exit code. */
export async function exitCode(tell: Look['tell'], failures: readonly string[]): Promise<ExitCode> {
  for (const failure of failures) await tell(failure);
  return failures.length === 0 ? EXIT.sound : EXIT.damaged;
}

/** Reports that no letter is selected. That is no fault if all were asked for: there are none. */
async function nothing(
  { store, selection, tell }: Look,
  found: Found,
  say: (line: string) => Promise<void>,
): Promise<ExitCode> {
  await exitCode(tell, found.failures);
  if (!selection.isEverything) await tell(noMatchText(selection, found, store.place));
  else if (found.failures.length === 0) {
    await say(`No dead letters in ${store.place}: nothing to do`);
    return EXIT.sound;
  }
  return EXIT.damaged;
}
