import type { HistoryMessage, Snapshot } from '../messages.js';

/** Data older than this is marked as stale; new data comes each second. */
const FRESH_MS = 3500;
/** A stream that is quiet for this long is opened again: its end may never have been reported. */
const DEAD_MS = 10_000;
/** Between two tries, if the browser does not try again by itself. */
const RETRY_MS = 1500;
const LOOK_MS = 500;

export interface LiveOptions {
  readonly url: string;
  readonly onHistory: (history: HistoryMessage) => void;
  readonly onSnapshot: (snapshot: Snapshot) => void;
  /** Called twice a second with the age of what is shown, in seconds; `null`: nothing has come yet. */
  readonly onAge: (ageSeconds: number | null, isStale: boolean) => void;
}

/** Listens to the server, and never gives up. */
export function listen({ url, onHistory, onSnapshot, onAge }: LiveOptions): void {
  let lastMs: number | null = null;
  let openedMs = 0;
  let source: EventSource | null = null;

  const open = (): void => {
    source?.close();
    openedMs = performance.now();
    source = new EventSource(url);
    source.addEventListener('history', ({ data }: MessageEvent<string>) => {
      onHistory(JSON.parse(data) as HistoryMessage);
    });
    source.addEventListener('snapshot', ({ data }: MessageEvent<string>) => {
      lastMs = performance.now();
      onSnapshot(JSON.parse(data) as Snapshot);
      look();
    });
  };
  const look = (): void => {
    const nowMs = performance.now();
    const ageMs = nowMs - (lastMs ?? openedMs);
    onAge(lastMs === null ? null : ageMs / 1000, ageMs > FRESH_MS);
    const quietMs = nowMs - Math.max(lastMs ?? 0, openedMs);
    // a browser tries again by itself, unless it was answered with anything but a stream
    const hasGivenUp = source?.readyState === EventSource.CLOSED && quietMs > RETRY_MS;
    if (hasGivenUp || quietMs > DEAD_MS) open();
  };

  open();
  setInterval(look, LOOK_MS);
  // timers rest while a tab is hidden
  document.addEventListener('visibilitychange', look);
}
