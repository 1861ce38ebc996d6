import minimist from 'minimist';
import type { Opts, ParsedArgs } from 'minimist';

/**
 * The flags of one of the project's own commands.
 *
 * @param refuse ends it with its usage. That is done for a word it does not know: `--round 200` must not run 20 rounds
 */
export function runFlags(
  usage: string,
  options: Opts,
): {
  readonly flags: ParsedArgs;
  readonly refuse: () => never;
} {
  const refuse = (): never => {
    console.error(usage);
    process.exit(2);
  };
  return { flags: minimist(process.argv.slice(2), { ...options, unknown: refuse }), refuse };
}
