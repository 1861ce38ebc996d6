/** Settles as `running` does, or rejects once the signal aborts; what runs then goes on alone. */
export async function untilAborted<T>(running: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop: () => void = () => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => {
      reject(signal.reason as Error);
    };
  });
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    return await Promise.race([running, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/**
 * Runs an attempt with a signal that aborts when its time is over or the server stops. Not by `AbortSignal.any`: each call
 * leaves some bytes at `stopping`, which lives as long as the server.
 */
export async function withDeadline<T>(
  stopping: AbortSignal,
  timeoutMs: number,
  attempt: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const stop = (): void => {
    over.abort(stopping.reason);
  };
  const timer = setTimeout(() => {
    over.abort(new Error(`no answer within ${timeoutMs} ms (--sink-timeout)`));
  }, timeoutMs);
  stopping.addEventListener('abort', stop, { once: true });
  if (stopping.aborted) stop();
  try {
    return await attempt(over.signal);
  } finally {
    clearTimeout(timer);
    stopping.removeEventListener('abort', stop);
  }
}
