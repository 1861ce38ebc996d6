import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Forebay } from '../forebay.js';
import { noDoor } from '../door/door.js';
import type { Door } from '../door/door.js';
import { guard, pathOf } from '../door/router.js';
import type { Route } from '../door/router.js';
import { silentLogger } from '../base/reporter.js';
import { metricsRoute } from './metrics/metrics-route.js';
import type { Resuming } from './page/messages.js';
import { pageRoutes } from './page/page-routes.js';
import { withLeftovers } from './together/with-leftovers.js';

export interface OperatorRoutesOptions {
  readonly forebay: Forebay;
  /** The `IngestionServer` in front of it, if there is one: its requests and connections are shown as well. */
  readonly door?: Door;
  /** Whether the live page is among them; it is unless this is `false`. */
  readonly page?: boolean;
  /** Whether the page shows the start of the `data` of accepted events; it does not unless this is `true`. */
  readonly showsData?: boolean;
  /** Those that deliver what is left in other log directories: they are shown as well. */
  readonly leftovers?: readonly Forebay[];
  /** What ends a pause, for the page; by default only the program that these routes are part of does. */
  readonly resuming?: Resuming;
  /** The flags by which the log tool finds the log, for the page; by default it is in the log directory. */
  readonly logFlags?: readonly string[] | null;
}

/**
 * What operators look at: `/metrics` for Prometheus, and the live page at `/`. They look at the pipeline from now on,
 * until `stop()`.
 */
export class OperatorRoutes {
  /** What is at which path. */
  readonly routes: ReadonlyMap<string, Route>;

  constructor({
    forebay,
    door = noDoor(forebay),
    page = true,
    showsData = false,
    leftovers = [],
    resuming,
    logFlags = null,
  }: OperatorRoutesOptions) {
    this.routes = new Map([
      ['/metrics', metricsRoute({ forebay, door, leftovers })],
      ...(page
        ? pageRoutes({
            forebay: withLeftovers(forebay, leftovers),
            door,
            showsData,
            logFlags,
            ...(resuming && { resuming }),
          })
        : []),
    ]);
  }

  /** Answers a request of a server of `node:http`, if it is for one of these paths; `false` if it is not. */
  handle(req: IncomingMessage, res: ServerResponse): boolean {
    const route = this.routes.get(pathOf(req));
    if (route === undefined || !route.methods.includes(req.method ?? '')) return false;
    void guard(req, res, silentLogger, () => route.handle(req, res, false));
    return true;
  }

  /** Ends timers and the streams of open pages. */
  stop(): void {
    for (const { stop } of this.routes.values()) stop?.();
  }
}
