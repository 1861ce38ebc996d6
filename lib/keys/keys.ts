import { timingSafeEqual } from 'node:crypto';
import { ForebayError } from '../base/errors.js';
import type { ErrorCode } from '../base/errors.js';
import { silentLogger, unthrowing } from '../base/reporter.js';
import type { Logger } from '../base/reporter.js';
import { UNLIMITED } from '../seams/client.js';
import type { Client, ClientLimits } from '../seams/client.js';
import type { HttpAnswer } from '../seams/http-answer.js';
import type { RequestHead } from '../seams/source.js';
import { SettingFile } from '../settings/setting-file.js';
import { CONTROL } from '../settings/source-settings.js';
import { KEYS_MAX, parseKeys } from './key-line.js';
import type { KeyLine } from './key-line.js';
import { digestOf, keyIn } from './secret.js';

/** What a client can send instead (RFC 9110, 11.6.1). */
const CHALLENGES = 'Bearer realm="forebay", Basic realm="forebay", charset="UTF-8"';
const FORMS = 'the header Authorization must be Bearer KEY, or Basic with the key as the password';

export { CONTROL };

/** Who has keys, under one name. */
export class KeyHolder implements Client {
  readonly id: string;
  readonly name: string;
  limits: ClientLimits = UNLIMITED;
  acceptedEvents = 0;
  refusedEvents = 0;

  constructor(name: string) {
    this.id = `key ${name}`;
    this.name = name;
  }
}

/** A request is refused for its key, or because it has none. */
export class KeyRefusal extends ForebayError {
  /** Whose key it is, if it is one of the file. */
  readonly holder: KeyHolder | null;

  constructor(code: ErrorCode, message: string, holder: KeyHolder | null = null) {
    super(code, { message });
    this.holder = holder;
  }

  /** Says in an answer with this refusal what the client can send instead. */
  challenged(answer: HttpAnswer): HttpAnswer {
    if (this.status !== 401) return answer;
    return { ...answer, headers: { ...answer.headers, 'WWW-Authenticate': CHALLENGES } };
  }
}

interface Key {
  readonly digest: Buffer;
  readonly holder: KeyHolder;
  /** `null`: all. */
  readonly sources: ReadonlySet<string> | null;
  /** In milliseconds since 1970. */
  readonly expiresMs: number;
}

/** By their hash in hexadecimal digits. */
type Table = ReadonlyMap<string, Key>;

/** The keys of clients, from a file that is read again within a second when it has changed. */
export class Keys {
  /** By name. A holder whose keys were removed stays for its counters, as long as there are not too many. */
  readonly holders = new Map<string, KeyHolder>();
  readonly #file: SettingFile<Table>;

  /** @throws ForebayError `KEYS_FILE_FAILED` if the file cannot be read, `SETTING_INVALID` if a line is wrong */
  constructor(path: string, logger: Logger = silentLogger) {
    const parse = (text: string): Table => this.#tableOf(parseKeys(text));
    const errors = { unusable: 'KEYS_FILE_FAILED', stale: 'KEYS_FILE_FAILED' } as const;
    this.#file = new SettingFile('--keys-file', path, parse, unthrowing(logger), errors);
    this.#file.watch();
  }

  /** How many keys there are. */
  get size(): number {
    return this.#file.value.size;
  }

  /** Whether the file has changed and cannot be read: its last content is used. */
  get isStale(): boolean {
    return this.#file.isStale;
  }

  /** Reads the file now, if it has changed. */
  async refresh(): Promise<void> {
    await this.#file.refresh(true);
  }

  /** Looks at the file no longer. */
  close(): void {
    this.#file.close();
  }

  /**
   * Finds who sends the requests with a head.
   *
   * @returns must be asked for each request: keys expire, and the file changes
   * @throws KeyRefusal, as does the returned function: `KEY_MISSING`, `KEY_WRONG`, `KEY_NOT_FOR_SOURCE`
   */
  holderOf(head: RequestHead, source: string): () => KeyHolder {
    const digest = presented(head.header('authorization'));
    let key = find(this.#file.value, digest, source);
    let table = this.#file.value;
    return () => {
      if (table !== this.#file.value || key.expiresMs <= Date.now()) {
        key = find(this.#file.value, digest, source);
        table = this.#file.value;
      }
      return key.holder;
    };
  }

  /**
   * Finds who may pause delivery: a key for all sources is none for that.
   *
   * @throws KeyRefusal
   */
  controllerOf(head: RequestHead): KeyHolder {
    return find(this.#file.value, presented(head.header('authorization')), CONTROL).holder;
  }

  #tableOf(lines: readonly KeyLine[]): Table {
    const table = new Map<string, Key>();
    const names = new Set<string>();
    for (const { name, hash, sources, expires, eventsPerSecond, bytesPerSecond } of lines) {
      let holder = this.holders.get(name);
      if (holder === undefined) this.holders.set(name, (holder = new KeyHolder(name)));
      holder.limits = { eventsPerSecond, bytesPerSecond };
      names.add(name);
      table.set(hash, {
        digest: Buffer.from(hash, 'hex'),
        holder,
        sources: sources && new Set(sources),
        expiresMs: expires ?? Infinity,
      });
    }
    if (this.holders.size > KEYS_MAX)
      for (const name of this.holders.keys()) if (!names.has(name)) this.holders.delete(name);
    return table;
  }
}

/** @throws KeyRefusal */
function presented(authorization: string | undefined): Buffer {
  if (authorization === undefined) throw new KeyRefusal('KEY_MISSING', `A key is needed: ${FORMS}`);
  const key = keyIn(authorization);
  if (key === null) throw new KeyRefusal('KEY_WRONG', `The key is malformed: ${FORMS}, once`);
  return digestOf(key);
}

/** @throws KeyRefusal */
function find(table: Table, digest: Buffer, source: string): Key {
  const key = table.get(digest.toString('hex'));
  if (key === undefined || !timingSafeEqual(key.digest, digest))
    throw new KeyRefusal('KEY_WRONG', 'The key is not one of this server: it is wrong, or was revoked');
  const { holder, sources, expiresMs } = key;
  if (expiresMs <= Date.now()) {
    const when = new Date(expiresMs).toISOString();
    throw new KeyRefusal('KEY_WRONG', `The key ${holder.name} expired at ${when}`, holder);
  }
  const isAllowed = source === CONTROL ? sources?.has(source) === true : sources?.has(source) !== false;
  if (!isAllowed) {
    const what =
      source === CONTROL
        ? `pause or resume delivery: that takes one with ${CONTROL} among its sources`
        : `send to the source ${source}`;
    throw new KeyRefusal('KEY_NOT_FOR_SOURCE', `The key ${holder.name} may not ${what}`, holder);
  }
  return key;
}
