import type { IncomingMessage, ServerResponse } from 'node:http';
import { asError, ForebayError } from '../base/errors.js';
import { CONTROL, KeyRefusal } from '../keys/keys.js';
import type { Keys } from '../keys/keys.js';
import { errorAnswer, jsonAnswer } from '../seams/http-answer.js';
import { BY_LENGTH_MAX, pauseFacts } from '../seams/pause.js';
import type { PauseOutcome, PauseRequest } from '../seams/pause.js';
import { answerRefused, sendAnswer } from './answers.js';
import { HostRules } from './host-rules.js';
import { headOf } from './request-head.js';
import type { Route } from './router.js';

/** A reason has a bound that is lower. */
const BODY_BYTES_MAX = 8192;
const LOOPBACK = /^(?:(?:::ffff:)?127(?:\.\d{1,3}){3}|::1)$/;
const MEMBERS = new Set(['by', 'reason', 'forSeconds']);
/** Headers in which proxies speak of a client. */
const OF_PROXIES = /^(?:forwarded|via|x-real-ip|x-forwarded-.+)$/;
const THIS_MACHINE = new HostRules('127.0.0.1', []);

/** What pauses delivery and lets it go on: a `Forebay`, or all workers of a server. */
export interface DeliveryControl {
  pause(request: PauseRequest): Promise<PauseOutcome>;
  resume(request: Pick<PauseRequest, 'by'>): Promise<PauseOutcome>;
}

export interface ControlOptions {
  readonly control: DeliveryControl;
  /** `null`: the server has none. */
  readonly keys: Keys | null;
  /** Whether these routes are at the operators' address. At the door of events only a key lets anyone in. */
  readonly isForOperators: boolean;
}

/** `POST /control/pause` and `/control/resume`. No web page can send them, and no stranger. */
export function controlRoutes({ control, keys, isForOperators }: ControlOptions): Map<string, Route> {
  const route = (name: 'pause' | 'resume'): Route => ({
    methods: ['POST'],
    handle: async (req, res, waits) => {
      try {
        const holder = holderOf(req, keys, isForOperators);
        checkType(req);
        checkLength(Number(req.headers['content-length'] ?? 0));
        if (waits) res.writeContinue();
        const request = requestOf(await bodyOf(req));
        const who = { ...request, by: callerOf(req, holder, request.by) };
        const outcome = name === 'pause' ? await control.pause(who) : await control.resume(who);
        sendAnswer(res, jsonAnswer(200, answerTo(name, outcome)));
      } catch (error) {
        if (!(error instanceof ForebayError)) {
          if (req.destroyed && !req.complete) return; // its client has gone in the middle of the body
          throw error;
        }
        refuse(req, res, error);
      }
    },
  });
  return new Map(['pause', 'resume'].map((name) => [`/control/${name}`, route(name as 'pause' | 'resume')]));
}

function answerTo(name: 'pause' | 'resume', { changed, pause }: PauseOutcome): object {
  if (name === 'pause') return { changed, delivery: pauseFacts(pause) };
  return { changed, delivery: pauseFacts(null), ...(pause !== null && { was: pauseFacts(pause) }) };
}

/** @returns the name of the key's holder; `null`: no key is needed. @throws ForebayError */
function holderOf(req: IncomingMessage, keys: Keys | null, isForOperators: boolean): string | null {
  const { headers } = req;
  // a browser names the page, or says at least that there is one
  if (headers.origin !== undefined || headers['sec-fetch-site'] !== undefined)
    throw new ForebayError('ORIGIN_NOT_ALLOWED', { message: 'No web page may pause or resume delivery' });
  if (keys !== null) return keys.controllerOf(headOf(req)).name;
  if (isForOperators && isFromHere(req)) return null;
  const from = isForOperators
    ? 'from this machine, by a loopback name and through no proxy'
    : `on the operators' address (--admin-port)`;
  const message = `Without keys delivery is paused and resumed only ${from}, or by the signal SIGUSR2; with --keys-file by whoever has a key for "${CONTROL}"`;
  throw new ForebayError('CONTROL_CLOSED', { message });
}

/**
 * Whether a program on this machine seems to have sent it. Whoever comes through a proxy here may be a stranger: most proxies
 * say so, hand on the `Host` of their client, or speak HTTP/1.0. One that does none of that cannot be seen.
 */
function isFromHere(req: IncomingMessage): boolean {
  const { headers, httpVersion, socket } = req;
  return (
    LOOPBACK.test(socket.remoteAddress ?? '') &&
    THIS_MACHINE.refusal(req) === null &&
    httpVersion !== '1.0' &&
    !Object.keys(headers).some((name) => OF_PROXIES.test(name))
  );
}

/** The holder of a key is certain, the name beside it is what the client says: it is cut if both are too long. */
function callerOf({ socket }: IncomingMessage, holder: string | null, by: string | undefined): string {
  if (holder === null) return by ?? `someone at ${socket.remoteAddress}`;
  return by ? `${holder} (${by})`.slice(0, BY_LENGTH_MAX) : holder;
}

/** What a form or a script of another page can send without asking has another type. */
function checkType({ headers }: IncomingMessage): void {
  const [type = ''] = (headers['content-type'] ?? '').split(';');
  if (type.trim().toLowerCase() === 'application/json' && headers['content-encoding'] === undefined) return;
  throw new ForebayError('UNSUPPORTED_MEDIA_TYPE', { message: 'The body must be application/json' });
}

async function bodyOf(req: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  // a request that is destroyed takes its connection along, before the answer has left
  const body: AsyncIterable<Buffer> = req.iterator({ destroyOnReturn: false });
  for await (const piece of body) {
    bytes += piece.length;
    checkLength(bytes);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}

/** @throws ForebayError `BODY_TOO_LARGE` */
function checkLength(bytes: number): void {
  if (bytes > BODY_BYTES_MAX)
    throw new ForebayError('BODY_TOO_LARGE', { message: `The body is larger than ${BODY_BYTES_MAX} bytes` });
}

/** @throws ForebayError `BAD_REQUEST` */
function requestOf(body: string): PauseRequest {
  let given: unknown;
  try {
    given = body.trim() === '' ? {} : JSON.parse(body);
  } catch (error) {
    throw wrong(`The body is not valid JSON: ${asError(error).message}`);
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw wrong('The body must be a JSON object');
  const unknown = Object.keys(given).find((name) => !MEMBERS.has(name));
  if (unknown !== undefined)
    throw wrong(`The body may have ${[...MEMBERS].join(', ')}, not ${JSON.stringify(unknown)}`);
  const { by, reason, forSeconds } = given as Readonly<Record<string, unknown>>;
  for (const [name, value] of Object.entries({ by, reason }))
    if (value !== undefined && typeof value !== 'string') throw wrong(`"${name}" must be a text`);
  if (forSeconds !== undefined && typeof forSeconds !== 'number')
    throw wrong('"forSeconds" must be a number');
  return {
    ...(typeof by === 'string' && { by }),
    ...(typeof reason === 'string' && { reason }),
    ...(forSeconds !== undefined && { forMs: forSeconds * 1000 }),
  };
}

function refuse(req: IncomingMessage, res: ServerResponse, error: ForebayError): void {
  const answer = errorAnswer(error);
  answerRefused(req, res, error, error instanceof KeyRefusal ? error.challenged(answer) : answer);
}

function wrong(message: string): ForebayError {
  return new ForebayError('BAD_REQUEST', { message });
}
