import { basename } from 'node:path';
import { createForebay } from '../forebay.js';
import type { Forebay } from '../forebay.js';
import { unthrowing } from '../base/reporter.js';
import type { Logger } from '../base/reporter.js';
import type { IdRule } from '../seams/id-store.js';
import type { PauseStore } from '../seams/pause.js';
import type { Sink } from '../seams/sink.js';
import { PIPELINE_SETTINGS } from '../settings/pipeline-settings.js';
import type { PipelineSettings } from '../settings/pipeline-settings.js';
import { ofTable } from '../settings/option-table.js';

export interface LeftDirs {
  /** Of workers that this run does not have. */
  readonly left: readonly string[];
  /** Of other servers, which are gone (`--adopt`). */
  readonly adopted: readonly string[];
  /** Their ids stay in their directories, for whoever starts on these again. */
  readonly idRules: readonly IdRule[];
  /** That of the server, whatever is in these directories. */
  readonly pauses: PauseStore;
}

/**
 * Delivers what is left in directories that no worker of this run has: each is a whole log with a closed door. It
 * stays open until the server stops, so that its counts stay in the sums.
 */
export class Leftovers {
  readonly forebays: readonly Forebay[];

  /** @param sink is shared with others, and closed by them after `stop()` */
  constructor(
    { left, adopted, idRules, pauses }: LeftDirs,
    settings: PipelineSettings,
    sink: Sink,
    logger: Logger,
  ) {
    const open = (logDir: string, name: string, rules: readonly IdRule[]): Forebay =>
      createForebay({
        ...ofTable(PIPELINE_SETTINGS, settings),
        logDir,
        pauses,
        idRules: rules,
        sink: withoutClose(sink),
        logger: namedLogger(logger, name),
      });
    this.forebays = [
      ...left.map((dir) => open(dir, basename(dir), [])),
      ...adopted.map((dir) => open(dir, dir, idRules)),
    ];
    for (const { broken } of this.forebays) broken.catch(() => process.exit(1)); // a restart starts with what is on disk
  }

  /** Resolves when all is delivered, or goes on in the background. @throws ForebayError as `Forebay.start` */
  async start(): Promise<void> {
    await Promise.all(this.forebays.map(async (each) => each.start()));
  }

  async stop(waitMs: number): Promise<void> {
    await Promise.all(this.forebays.map(async (each) => each.stop(waitMs)));
  }
}

function withoutClose(sink: Sink): Sink {
  const { description } = sink;
  return {
    ...(description && { description }),
    deliver: async (...attempt) => sink.deliver(...attempt),
  };
}

/** A logger whose lines name a directory first. */
function namedLogger(logger: Logger, name: string): Logger {
  const safe = unthrowing(logger);
  const line =
    (level: keyof Logger): Logger['info'] =>
    (fields, text) => {
      safe[level]({ ...fields, directory: name }, `${name}: ${text}`);
    };
  return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
}
