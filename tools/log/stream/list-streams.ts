import { count } from '../../../lib/base/words.js';
import type { RestingStreams, StreamSums } from '../../../lib/logs/jetstream/resting-streams.js';
import { EXIT } from '../exit-code.js';
import type { ExitCode } from '../exit-code.js';
import type { Output } from '../output.js';
import { duration } from '../words.js';

const KINDS = ['events', 'deadLetters', 'quarantine'];
const HEAD = ['STREAM', 'MESSAGES', 'EVENTS', 'BYTES', 'OLDEST', 'REPLICAS', 'LEADER'];
/** Columns of text; numbers are aligned at their end. */
const TEXTS = new Set(['STREAM', 'OLDEST', 'REPLICAS', 'LEADER']);

/**
 * Lists the streams of a log, and what delivery has of them.
 *
 * @param deadLettersTool the command of the tool for dead letters
 * @throws ForebayError `LOG_SERVERS`, `LOG_UNUSABLE`
 */
export async function listStreams(
  streams: RestingStreams,
  json: boolean,
  output: Output,
  deadLettersTool: string,
): Promise<ExitCode> {
  const looks = await streams.look();
  const lines = json ? jsonLines(looks) : [...table(looks), ...notes(looks, deadLettersTool)];
  await output.write(`${lines.join('\n')}\n`);
  return EXIT.sound;
}

function jsonLines(looks: readonly StreamSums[]): string[] {
  return looks.map(({ oldestAtMs, delivery, ...sums }, index) =>
    JSON.stringify({
      kind: 'stream',
      holds: KINDS[index],
      ...sums,
      ageSeconds: ageOf(oldestAtMs),
      leader: leaderOf(sums),
      handedOut: delivery?.handedOut ?? null,
      redelivered: delivery?.redelivered ?? null,
    }),
  );
}

function table(looks: readonly StreamSums[]): string[] {
  const rows = looks.map((look) => {
    const { name, messages, events, bytes, oldestAtMs, replicas, servers } = look;
    const age = ageOf(oldestAtMs);
    const current = servers.filter(({ isCurrent }) => isCurrent).length;
    return [
      name,
      String(messages),
      String(events ?? '-'),
      String(bytes),
      age === null ? '-' : duration(age),
      `${current} of ${replicas}`,
      leaderOf(look) ?? 'none',
    ];
  });
  const all = [HEAD, ...rows];
  const widths = HEAD.map((_head, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return TEXTS.has(HEAD[column] ?? '') ? cell.padEnd(width) : cell.padStart(width);
      })
      .join('  ')
      .trimEnd(),
  );
}

/** What is not as it should be, and what delivery has. */
function notes(looks: readonly StreamSums[], deadLettersTool: string): string[] {
  const lagging = looks.flatMap(({ name, servers }) =>
    servers
      .filter(({ isCurrent, lag }) => !isCurrent || lag > 0)
      .map(
        ({ name: server, isCurrent, lag }) =>
          `${server} ${isCurrent ? 'is current' : 'is not current'} for ${name}, lag ${lag}`,
      ),
  );
  const [events, letters] = looks;
  const { handedOut, redelivered } = events?.delivery ?? { handedOut: 0, redelivered: 0 };
  const ids = events?.ids ?? 0;
  const hasLetters = (letters?.messages ?? 0) > 0;
  return [
    ...lagging,
    `${count(handedOut, 'message')} handed out, ${redelivered} of them redelivered`,
    ...(ids > 0 ? [`${count(ids, 'id')} of events that were stored within an id window`] : []),
    ...(hasLetters ? [`${count(letters?.messages ?? 0, 'dead letter')}: see ${deadLettersTool} ls`] : []),
  ];
}

function leaderOf({ servers }: Pick<StreamSums, 'servers'>): string | null {
  return servers.find(({ isLeader }) => isLeader)?.name ?? null;
}

function ageOf(atMs: number | null): number | null {
  return atMs === null ? null : Math.max(0, Math.floor((Date.now() - atMs) / 1000));
}
