import type { NewestEvent, Refusals, Snapshot, SourceState, SourceStates } from '../messages.js';
import { byId, create, fill, setText, within } from './dom.js';
import { bytes, clock, duration, NOTHING, plain, plural, rate, whole } from './format.js';
import { windowWords } from './source-words.js';

/** If there are more sources, only these and those that refuse are shown at first. */
const ROWS_MAX = 8;
const DAY_SECONDS = 86_400;

/** By name: one that is unfolded stays so. */
const items = new Map<string, HTMLElement>();
let showsAll = false;
/** What is shown now. */
let rows: readonly SourceState[] = [];

byId('sources-all').addEventListener('click', () => {
  showsAll = !showsAll;
  showRows(rows);
});

/** What came to each source, what came again, what was refused and why, and the newest events. */
export function showSources(snapshot: Snapshot): void {
  const { shown, more, stray, codes } = snapshot.sources;
  const section = byId('sources-section');
  section.hidden = shown.length === 0;
  section.classList.toggle(
    'has-windows',
    shown.some(({ window }) => window !== null),
  );
  section.classList.toggle(
    'has-conflicts',
    shown.some(({ window }) => (window?.conflicts ?? 0) > 0),
  );
  const list = byId('sources');
  for (const [name, item] of items) {
    if (shown.some((each) => each.name === name)) continue;
    item.remove();
    items.delete(name);
  }
  for (const [index, source] of shown.entries()) {
    let item = items.get(source.name);
    if (item === undefined) items.set(source.name, (item = makeItem()));
    if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null);
    showItem(item, source, snapshot);
  }
  rows = shown;
  showRows(shown);
  setText(byId('sources-more'), more === 0 ? '' : `${plural(more, 'source')} more: /metrics has all.`);
  setText(
    byId('stray'),
    stray.length === 0
      ? ''
      : `Requests that came to no source: ${stray.map((each) => reasonWords(each, codes)).join('; ')}.`,
  );
}

function showRows(shown: readonly SourceState[]): void {
  const isRest = (index: number): boolean => index >= ROWS_MAX && shown[index]?.isRefusing !== true;
  const button = byId('sources-all');
  for (const [index, { name }] of shown.entries()) {
    const item = items.get(name);
    if (item !== undefined) item.hidden = !showsAll && isRest(index);
  }
  const rest = [...shown.keys()].filter(isRest).length;
  button.hidden = rest === 0;
  button.setAttribute('aria-expanded', String(showsAll));
  setText(button, showsAll ? 'Show fewer' : `Show ${plural(rest, 'more source')}`);
}

function makeItem(): HTMLElement {
  const item = create('li');
  const details = create('details');
  const summary = create('summary');
  const name = create('span', 'source');
  name.append(create('b'), ' ', create('span', 'path'));
  summary.append(name);
  for (const [className, unit] of [
    ['rate', ' events/s'],
    ['accepted', ' accepted'],
    ['duplicates', ' duplicates'],
    ['conflicts', ' conflicts'],
    ['refused', ' refused'],
  ] as const) {
    const number = create('span', `number ${className}`);
    number.append(create('span'), create('span', 'unit', unit));
    summary.append(number);
  }
  summary.append(create('span', 'latest'));
  details.append(summary, create('p', 'quiet window'), create('ul', 'reasons'));
  details.append(create('ul', 'events'), create('p', 'quiet none'));
  item.append(details);
  return item;
}

function showItem(item: HTMLElement, source: SourceState, { sources: { codes }, point }: Snapshot): void {
  const { name, path, inPerSecond, accepted, refused, isRefusing, refusals, window, newest } = source;
  const { duplicates = 0, conflicts = 0 } = window ?? {};
  item.dataset['level'] = isRefusing ? 'attention' : 'well';
  setText(within(item, '.source b'), name);
  setText(within(item, '.path'), path);
  setText(within(item, '.rate span'), rate(inPerSecond));
  setText(within(item, '.accepted span'), whole(accepted));
  item.classList.toggle('has-window', window !== null);
  item.classList.toggle('is-short', window !== null && window.effectiveSeconds < window.setSeconds);
  setText(within(item, '.duplicates span'), whole(duplicates));
  setText(within(item, '.duplicates .unit'), duplicates === 1 ? ' duplicate' : ' duplicates');
  setText(within(item, '.conflicts span'), whole(conflicts));
  setText(within(item, '.conflicts .unit'), conflicts === 1 ? ' conflict' : ' conflicts');
  setText(within(item, '.window'), window === null ? '' : windowWords(window));
  setText(within(item, '.refused span'), whole(refused));
  setText(within(item, '.latest'), latest(source, codes));
  fill(
    within(item, '.reasons'),
    refusals,
    () => create('li'),
    (child, each) => {
      setText(child, `${reasonWords(each, codes)}, the last one ${ago(each.agoSeconds)}`);
    },
  );
  fill(within(item, '.events'), newest, makeEvent, (child, event) => {
    showEvent(child, event, point.atSeconds ?? 0);
  });
  setText(within(item, '.none'), accepted + duplicates === 0 ? 'No event has come yet in this run.' : '');
}

/** Why it refuses, or what it took last. */
function latest(
  { isRefusing, refusals, newest, acceptedAgoSeconds, window }: SourceState,
  codes: SourceStates['codes'],
): string {
  const [reason] = refusals;
  if (isRefusing && reason !== undefined)
    return `${codes[reason.code]?.text ?? reason.code}, ${ago(reason.agoSeconds)}`;
  if (acceptedAgoSeconds === null) {
    const duplicateAgoSeconds = window?.duplicateAgoSeconds ?? null;
    return duplicateAgoSeconds === null ? 'nothing yet' : `a duplicate, ${ago(duplicateAgoSeconds)}`;
  }
  const type = newest[0]?.type ?? '';
  return `${type === '' ? 'an event' : type}, ${ago(acceptedAgoSeconds)}`;
}

function ago(seconds: number): string {
  return seconds < 2 ? 'just now' : `${duration(seconds)} ago`;
}

/** `12 × The event is not valid JSON (EVENT_NOT_JSON)` */
function reasonWords({ code, number }: Refusals, codes: SourceStates['codes']): string {
  return `${whole(number)} × ${codes[code]?.text ?? ''} (${code})`;
}

function makeEvent(): HTMLElement {
  const item = create('li');
  for (const className of ['at', 'type', 'id', 'size', 'data']) item.append(create('span', className));
  return item;
}

function showEvent(
  item: HTMLElement,
  { id, type, bytes: size, atSeconds, data }: NewestEvent,
  now: number,
): void {
  const age = now - atSeconds;
  setText(within(item, '.at'), age < DAY_SECONDS ? clock(atSeconds) : `${duration(age)} ago`);
  setText(within(item, '.type'), type === '' ? NOTHING.value : type);
  setText(within(item, '.id'), id === '' ? NOTHING.value : id);
  setText(within(item, '.size'), plain(bytes(size)));
  setText(within(item, '.data'), data);
}
