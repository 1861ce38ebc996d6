import type { LetterReason, Snapshot } from '../messages.js';
import { byId, create, setText, within } from './dom.js';
import { bytes, plain, plural } from './format.js';

/** By reason: one that is unfolded stays so. */
const items = new Map<string, HTMLElement>();

/** Dead letters by reason, with a look at the newest event of each. */
export function showLetters({ deadLetters: { files, bytes: size, reasons }, events }: Snapshot): void {
  setText(byId('letters-sum'), sum(files, size, events.deadLettered));
  const list = byId('letters');
  for (const [reason, item] of items) {
    if (reasons.some((each) => each.reason === reason)) continue;
    item.remove();
    items.delete(reason);
  }
  for (const [index, letter] of reasons.entries()) {
    let item = items.get(letter.reason);
    if (item === undefined) {
      item = makeItem();
      items.set(letter.reason, item);
    }
    if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null);
    show(item, letter);
  }
}

function sum(files: number | null, size: number | null, refused: number): string {
  if (files === null) return 'Looking…';
  if (files === 0) return refused === 0 ? 'None: the sink has refused nothing.' : 'None left.';
  return `${plural(files, 'file')}, ${plain(bytes(size ?? 0))}. Of the newest, by reason:`;
}

function makeItem(): HTMLElement {
  const item = create('li');
  const details = create('details');
  const summary = create('summary');
  summary.append(create('span', 'times'), create('span', 'reason'));
  details.append(summary, create('pre', 'event'), create('p', 'quiet where'));
  item.append(details);
  return item;
}

function show(item: HTMLElement, letter: LetterReason): void {
  const { reason, status, letters, event, isCut, batch, index, attempts, time } = letter;
  setText(within(item, '.times'), `${letters}×`);
  setText(within(item, '.reason'), reason);
  setText(within(item, '.event'), `${event}${isCut ? ' …' : ''}`);
  const answer = status === null ? '' : `status ${status}, `;
  const when = `${time.slice(0, 19).replace('T', ' ')} UTC`;
  setText(
    within(item, '.where'),
    `${answer}${plural(attempts, 'attempt')}, ${when}, event ${index} of ${batch}`,
  );
}
