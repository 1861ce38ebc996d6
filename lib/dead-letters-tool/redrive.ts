import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';
import { asError } from '../errors.js';
import type { Done } from '../log-tool/operations.js';
import { printable } from '../terminal-text.js';
import type { Letter, LetterFiles } from './letter-files.js';

/** A request holds at most so much, beyond its first event. */
const BODY_BYTES_MAX = 2 ** 20;
const BODY_EVENTS_MAX = 500;
/** A server that is full is asked again so often, each time after what it says. */
const TRIES_MAX = 20;
const RETRY_AFTER_MS_MAX = 60_000;

/**
 * Sends dead letters through the front door again, oldest file first. A letter leaves its file only after the server
 * answered `202` for it: it is on disk there. If the tool is killed in between, some are sent twice.
 *
 * @returns how many were sent and taken, and why others were not: they stay where they are
 */
export async function redrive(
  letterFiles: LetterFiles,
  names: readonly string[],
  isWanted: (letter: Letter) => boolean,
  url: URL,
): Promise<Done & { readonly counts: { readonly events: number } }> {
  const failures: string[] = [];
  const changed = new Set<string>();
  let events = 0;
  const redriveFile = async (name: string): Promise<void> => {
    const file = await letterFiles.take(name, isWanted);
    if (file === null) return;
    let left = file.letters;
    for (let body = nextBody(left.filter(isWanted)); body.length > 0;) {
      if (!(await send(url, body))) {
        body = body.slice(0, body.length >> 1); // too large for the server
        continue;
      }
      events += body.length;
      changed.add(name);
      const gone = new Set(body);
      left = left.filter((letter) => !gone.has(letter));
      await letterFiles.keepOnly(file.taken, left);
      body = nextBody(left.filter(isWanted));
    }
  };
  for (const name of names) {
    try {
      await redriveFile(name);
    } catch (error) {
      failures.push(asError(error).message);
      if (error instanceof Unreachable) break;
    }
  }
  return { counts: { events, files: changed.size }, failures };
}

/** Nothing answers: no other file would fare better. */
class Unreachable extends Error {}

function nextBody(letters: readonly Letter[]): Letter[] {
  const body: Letter[] = [];
  let bytes = 0;
  for (const letter of letters.slice(0, BODY_EVENTS_MAX)) {
    if (body.length > 0 && bytes + letter.event.length > BODY_BYTES_MAX) break;
    body.push(letter);
    bytes += letter.event.length;
  }
  return body;
}

/** `false`: so many are too large for one request, and fewer may not be. */
async function send(url: URL, letters: readonly Letter[]): Promise<boolean> {
  const body = Buffer.concat(letters.flatMap(({ event }) => [event, Buffer.from('\n')]));
  for (let tries = 1; ; tries++) {
    const { status, retryAfterMs, text } = await post(url, body);
    if (status === 202) return true;
    if (status === 413 && letters.length > 1) return false;
    const isBusy = status === 429 || status === 503;
    if (!isBusy || tries === TRIES_MAX)
      throw new Error(`${url.origin}${url.pathname} answered ${status}: ${printable(text.slice(0, 300))}`);
    await sleep(retryAfterMs);
  }
}

async function post(url: URL, body: Buffer): Promise<{ status: number; retryAfterMs: number; text: string }> {
  try {
    const answer = await request(url, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body,
    });
    const after = Number(answer.headers['retry-after']);
    const retryAfterMs = Math.min(RETRY_AFTER_MS_MAX, Number.isFinite(after) ? after * 1000 : 1000);
    return { status: answer.statusCode, retryAfterMs, text: await answer.body.text() };
  } catch (error) {
    const what = `${url.origin}${url.pathname} does not answer (${asError(error).message})`;
    throw new Unreachable(`${what}: does a server run there?`, { cause: error });
  }
}
