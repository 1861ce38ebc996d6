import { randomUUID } from 'node:crypto';
import { ForebayError } from '../../base/errors.js';
import { timestampEnd } from '../../event/event.js';
import { EventBlock } from '../../event/event-block.js';
import { contentOf } from '../../event/event-ids.js';
import type { EventIds } from '../../event/event-ids.js';
import type { HttpAnswer } from '../../seams/http-answer.js';
import type { EventReader, Limits } from '../../seams/source.js';
import { BodyBuffer } from '../body-buffer.js';
import { Body } from './body.js';
import type { MayBeJson } from './body.js';
import { firstText } from './place.js';
import type { inHead } from './place.js';
import type { WebhookValues } from './webhook-settings.js';

/** A byte order mark, which an event is without. */
const MARK_BYTES = 3;
const NOTHING = Buffer.alloc(0);
/** The level of the event itself. */
const OUTERMOST = 1;

/** The answer to a request that only asks whether someone is here; `null`: it brings an event. */
export type Handshake = (body: Body) => HttpAnswer | null;

/** What is the same for all requests to a source. */
export interface WebhookSettings {
  readonly source: string;
  readonly typeDefault: string;
  readonly keepBody: WebhookValues['keepBody'];
  readonly answer: HttpAnswer;
  readonly answerToDuplicate: HttpAnswer;
  readonly handshake: Handshake | null;
}

/** What is the same for all bodies with the same head. */
export interface Webhook {
  readonly settings: WebhookSettings;
  readonly limits: Limits;
  readonly mayBeJson: MayBeJson;
  readonly ids: ReturnType<typeof inHead>;
  readonly types: ReturnType<typeof inHead>;
  /** Members that follow `data`. */
  readonly besides: string;
}

/** Makes one event of any body. */
export class WebhookReader implements EventReader {
  readonly block = new EventBlock();
  idsMade = 0;
  readonly #hook: Webhook;
  readonly #ids: EventIds | null;
  readonly #body: BodyBuffer;
  #answer: HttpAnswer;

  /**
   * @param lengthDeclared in bytes; 0: not known
   * @throws ForebayError `EVENT_TOO_LARGE` if that is too long
   */
  constructor(hook: Webhook, lengthDeclared: number, ids: EventIds | null = null) {
    this.#hook = hook;
    this.#ids = ids;
    this.#checkLength(lengthDeclared);
    this.#body = new BodyBuffer(lengthDeclared);
    this.#answer = hook.settings.answer;
  }

  append(piece: Buffer): void {
    this.#body.append(piece);
    this.#checkLength(this.#body.length);
  }

  end(): void {
    const { settings, limits, mayBeJson, ids, types, besides } = this.#hook;
    const { source, typeDefault, keepBody, handshake } = settings;
    const bytes = this.#body.take();
    const body = new Body(bytes, mayBeJson, limits.depthMax - OUTERMOST);
    const answer = handshake?.(body) ?? null;
    if (answer !== null) {
      this.#answer = answer;
      return;
    }
    const id = firstText(ids, body);
    const type = firstText(types, body) ?? typeDefault;
    const hasText = keepBody === 'always' || (keepBody === 'changed' && body.isChanged);
    const text = hasText ? body.text : null;
    const line = Buffer.concat([
      Buffer.from(
        `{"id":${JSON.stringify(id ?? randomUUID())},"type":${JSON.stringify(type)},"source":"${source}","data":`,
      ),
      body.data,
      Buffer.from(
        (body.isBinary ? `,"data_base64":"${body.base64}"` : '') +
          besides +
          (text === null ? '' : `,"body":${JSON.stringify(text)}`) +
          timestampEnd(Date.now()),
      ),
    ]);
    if (line.length > limits.eventBytesMax) throw this.#tooLarge();
    this.block.addBytes(line, NOTHING);
    if (id === undefined) this.idsMade++;
    // an id that is made here is new each time; headers may differ when the same comes again
    if (this.#ids === null || (id === undefined && !this.#ids.isKeyed)) return;
    this.#ids.addText(id ?? '', contentOf(bytes));
    this.block.ids = this.#ids;
  }

  accepted(): HttpAnswer {
    return (this.block.ids?.duplicatesSaid ?? 0) > 0 ? this.#hook.settings.answerToDuplicate : this.#answer;
  }

  /** An event is longer than its body, but for a mark. */
  #checkLength(length: number): void {
    if (length > this.#hook.limits.eventBytesMax + MARK_BYTES) throw this.#tooLarge();
  }

  #tooLarge(): ForebayError {
    const message = `The event is larger than ${this.#hook.limits.eventBytesMax} bytes (--event-max)`;
    return new ForebayError('EVENT_TOO_LARGE', { message });
  }
}
