import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { text as textOf } from 'node:stream/consumers';
import { asError } from '../../lib/base/errors.js';

/** Not called like settings of the server: it refuses those that it does not know. */
export const URL_VARIABLE = 'CONTROL_URL_OF_FOREBAY';
export const KEY_VARIABLE = 'CONTROL_KEY_OF_FOREBAY';

/** How long an answer may take, in milliseconds: the disk that keeps a pause may be slow. */
const ANSWER_MS = 15_000;

export interface Answered {
  readonly status: number;
  /** Its JSON object; empty if it has none. */
  readonly body: Readonly<Record<string, unknown>>;
}

/** The server as operators reach it. */
export class ControlledServer {
  readonly #url: URL;
  readonly #key: string | null;

  constructor(url: URL, key: string | null) {
    this.#url = url;
    this.#key = key;
  }

  get place(): string {
    return this.#url.origin;
  }

  /** @throws Error if there is no answer */
  async get(path: string): Promise<Answered> {
    return this.#ask('GET', path, null);
  }

  /** @throws Error if there is no answer: nobody knows whether it was done */
  async post(path: string, body: object): Promise<Answered> {
    return this.#ask('POST', path, JSON.stringify(body));
  }

  async #ask(method: string, path: string, body: string | null): Promise<Answered> {
    const url = new URL(path, this.#url);
    const headers = {
      ...(body !== null && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
      ...(this.#key !== null && { authorization: `Bearer ${this.#key}` }),
    };
    const send = url.protocol === 'https:' ? requestHttps : requestHttp;
    try {
      return await new Promise<Answered>((resolve, reject) => {
        const signal = AbortSignal.timeout(ANSWER_MS);
        const request = send(url, { method, headers, agent: false, signal }, (res) => {
          textOf(res).then((text) => {
            resolve({ status: res.statusCode ?? 0, body: objectIn(text) });
          }, reject);
        });
        request.on('error', reject);
        request.end(body ?? undefined);
      });
    } catch (error) {
      const { name, message } = asError(error);
      const why = name === 'AbortError' ? `nothing came within ${ANSWER_MS / 1000} s` : message.trim();
      const hint = 'is it the address of the server (--url)?';
      throw new Error(`${this.place} does not answer: ${why}; ${hint}`, { cause: error });
    }
  }
}

function objectIn(text: string): Answered['body'] {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Answered['body']) : {};
  } catch {
    return {};
  }
}
