import type { Snapshot } from '../messages.js';
import { byId, setText } from './dom.js';
import { duration, plural } from './format.js';
import { pauseWords } from './pause-words.js';

/** The breaker and the last error, in words. */
export function showSink({ sink }: Snapshot): void {
  const { kind, target, keepsNothing, failuresInARow, lastError } = sink;
  setText(byId('sink-name'), [kind, target, keepsNothing ? 'keeps nothing' : ''].filter(Boolean).join(' · '));
  setText(byId('breaker'), sink.paused === null ? breakerWords(sink) : pauseWords(sink.paused));
  const isNow = failuresInARow > 0;
  setText(
    byId('error-when'),
    lastError === null
      ? 'No attempt has failed since the server started.'
      : `${isNow ? 'The last error' : 'The last error, and it was well again after it'}, ${duration(lastError.agoSeconds)} ago:`,
  );
  const error = byId('error');
  error.hidden = lastError === null;
  error.dataset['level'] = isNow ? 'trouble' : 'well';
  setText(error, lastError?.text ?? '');
}

function breakerWords({
  breaker,
  troubleSeconds,
  nextAttemptSeconds,
  failuresInARow,
}: Snapshot['sink']): string {
  const since = troubleSeconds === null ? '' : ` It has not been well for ${duration(troubleSeconds)}.`;
  switch (breaker) {
    case 'closed':
      return failuresInARow === 0
        ? 'The breaker is closed: batches go to the sink as they are sealed.'
        : `The breaker is closed, but the last ${plural(failuresInARow, 'attempt')} failed. A few more, and the sink is left alone for a while.`;
    case 'open':
      return `The breaker is open: ${plural(failuresInARow, 'attempt')} in a row failed, and the next is due in ${duration(nextAttemptSeconds ?? 0)}.${since}`;
    case 'half-open':
      return `The breaker is half-open: one attempt finds out whether the sink is well again, all others wait for it.${since}`;
  }
}
