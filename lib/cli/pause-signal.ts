import { asError } from '../base/errors.js';
import type { Logger } from '../base/reporter.js';
import type { DeliveryControl } from '../door/control-routes.js';
import type { Pause } from '../seams/pause.js';

const SIGNAL = 'SIGUSR2';

/** Without a handler the signal would end the process: with this one it pauses delivery, and the next lets it go on. */
export function pauseOnSignal(
  control: DeliveryControl & { readonly paused: Pause | null },
  logger: Logger,
): void {
  let last = Promise.resolve();
  process.on(SIGNAL, () => {
    last = last
      .then(async () => {
        if (control.paused === null) await control.pause({ by: SIGNAL });
        else await control.resume({ by: SIGNAL });
      })
      .catch((error: unknown) => {
        logger.warn(
          { code: 'PAUSE_FAILED', signal: SIGNAL },
          `${SIGNAL}: nothing is paused or resumed: ${asError(error).message}`,
        );
      });
  });
}
