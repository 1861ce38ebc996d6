import type { Snapshot, WindowState } from '../messages.js';
import { duration, whole } from './format.js';

/** What a source refused longer ago is no news. */
const LATELY_SECONDS = 60;
/** An id window that is shorter than this share of what is set is said first. */
const WINDOW_SHARE_MIN = 0.5;

/** A headline and its detail, if someone should look at a source. */
type Words = readonly [headline: string, detail: string];

/** What is wrong with a source, the worst first; `null`: nothing is. */
export function sourceWords(snapshot: Snapshot): Words | null {
  return shut(snapshot) ?? forgetful(snapshot);
}

/** A source that took nothing lately of what came to it, by a fault of its senders or of its settings. */
function shut({ sources: { shown, codes } }: Snapshot): Words | null {
  for (const { name, path, acceptedAgoSeconds, refusals, window } of shown) {
    const fault = refusals.find(
      ({ code, agoSeconds }) => agoSeconds < LATELY_SECONDS && codes[code]?.retry === false,
    );
    const duplicateAgoSeconds = window?.duplicateAgoSeconds ?? null;
    const takenAgoSeconds = Math.min(acceptedAgoSeconds ?? Infinity, duplicateAgoSeconds ?? Infinity);
    if (fault === undefined || takenAgoSeconds < LATELY_SECONDS) continue;
    return [
      `The source ${name} refuses all that it gets`,
      `Of what came to ${path} in the last minute nothing was taken. ${codes[fault.code]?.text} (${fault.code}): see Sources below.`,
    ];
  }
  return null;
}

/** A source whose ids are kept for much less than they should be. */
function forgetful({ sources: { shown } }: Snapshot): Words | null {
  for (const { name, window } of shown) {
    if (window === null || window.effectiveSeconds >= WINDOW_SHARE_MIN * window.setSeconds) continue;
    const [kept, set] = [duration(window.effectiveSeconds), duration(window.setSeconds)];
    return [
      `The source ${name} keeps ids for ${kept}, not ${set}`,
      `More events come within ${set} than --id-window-max allows, so a copy that comes later is stored again. Raise the bound (40 bytes of memory for each id), or shorten the window.`,
    ];
  }
  return null;
}

/** What the id window of a source knows, in a sentence or two. */
export function windowWords(window: WindowState): string {
  const { conflicts, ids } = window;
  const known = `${whole(ids)} ${ids === 1 ? 'is' : 'are'} known now`;
  const sentence = `Ids are kept for ${keptWords(window)}; ${known}.`;
  if (conflicts === 0) return sentence;
  const were = conflicts === 1 ? 'was a conflict' : 'were conflicts';
  return `${sentence} ${whole(conflicts)} of the duplicates ${were}: other content than that of the first event with the id.`;
}

function keptWords({ setSeconds, effectiveSeconds }: WindowState): string {
  if (effectiveSeconds >= setSeconds) return duration(setSeconds);
  const isNear = duration(effectiveSeconds) === duration(setSeconds);
  const words = isNear ? (seconds: number): string => `${whole(seconds)} s` : duration;
  return `${words(effectiveSeconds)}, not ${words(setSeconds)}, as there are more than --id-window-max`;
}
