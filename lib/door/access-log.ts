import type { Logger } from '../base/reporter.js';

/** What the access log says about a request. */
export interface Access {
  readonly requestId: string;
  readonly method: string;
  /** Without its query, which may hold a secret. */
  readonly path: string;
  /** 0: the client went away before its answer. */
  readonly status: number;
  /** The client's address, as the connection has it. */
  readonly peer: string | undefined;
}

/** Writes a log line for a share of the requests. */
export class AccessLog {
  readonly #share: number;
  readonly #logger: Logger;

  /** @param share of the requests that get a line, from 0 to 1 */
  constructor(share: number, logger: Logger) {
    this.#share = share;
    this.#logger = logger;
  }

  /** When the request started, as `performance.now()` has it; `null`: it gets no line. */
  begin(): number | null {
    return this.#share > 0 && Math.random() < this.#share ? performance.now() : null;
  }

  /** @param beginMs what `begin` returned */
  end(beginMs: number | null, access: Access): void {
    if (beginMs === null) return;
    const ms = Math.round((performance.now() - beginMs) * 10) / 10;
    this.#logger.info({ ...access, ms }, `${access.method} ${access.path} ${access.status}, ${ms} ms`);
  }
}
