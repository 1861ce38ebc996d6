import { randomBytes } from 'node:crypto';

const PLACE = '0000000000';

/**
 * Bytes that hold an event of about 200 bytes whose id can be changed in place. The event has a timestamp, so that
 * Forebay's line on disk is the event as sent.
 */
export class NumberedEvent {
  readonly bytes: Buffer;
  readonly #offset: number;

  /** @param wrap puts the event's text into what is sent or written */
  constructor(wrap: (event: string) => string) {
    const id = `${randomBytes(6).toString('hex')}-${PLACE}`;
    const data = {
      order: 'A-20417',
      amount: '129.90',
      currency: 'EUR',
      customer: { name: 'Ada Example' },
      note: 'leave it, please',
    };
    const event = JSON.stringify({ id, type: 'order.paid', data, timestamp: Date.now() });
    this.bytes = Buffer.from(wrap(event));
    this.#offset = this.bytes.indexOf(PLACE);
  }

  /** Sets the number at the end of the id. */
  set number(number: number) {
    this.bytes.write(String(number).padStart(PLACE.length, '0'), this.#offset, 'latin1');
  }
}
