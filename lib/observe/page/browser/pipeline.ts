import type { Snapshot } from '../messages.js';
import { byId, create, fill, setText, within } from './dom.js';
import { bytes, count, duration, milliseconds, NOTHING, plain, plural, rate, whole } from './format.js';
import type { Shown } from './format.js';
import type { Level, Part, Verdict } from './verdict.js';

interface Row {
  readonly name: string;
  readonly value: string;
  readonly level?: Level;
}

interface Stage {
  readonly big: Shown;
  readonly rows: readonly Row[];
  /** How full it is, from 0 to 1. */
  readonly fullness?: number;
  readonly level: Level;
}

/** So full a bounded thing wants to be looked at. */
const FULL = 0.8;

/** The pipeline as it is, with live numbers on each part. */
export function showPipeline(snapshot: Snapshot, { bottleneck, level }: Verdict): void {
  const stages: Readonly<Record<Part, Stage>> = {
    door: door(snapshot),
    queue: queue(snapshot),
    disk: disk(snapshot),
    sink: sink(snapshot),
  };
  for (const [part, stage] of Object.entries(stages) as [Part, Stage][]) {
    const isBottleneck = part === bottleneck;
    showStage(byId(part), stage, isBottleneck ? level : stage.level, isBottleneck);
  }
  const { door: at, sink: to, events } = snapshot;
  const flows = [at.inPerSecond > 0, at.inPerSecond > 0, to.outPerSecond > 0];
  for (const [index, pipe] of [...document.querySelectorAll('.pipe')].entries()) {
    const isCut = index === 2 && (to.breaker !== 'closed' || to.paused !== null);
    pipe.className = `pipe${flows[index] === true ? ' flows' : ''}${isCut ? ' cut' : ''}`;
  }
  const { accepted, delivered, deadLettered, quarantined, pending, duplicates } = events;
  // of a log that instances share, others deliver what was accepted here, and the other way round
  const isShared = snapshot.disk.replicas !== null;
  const parts = [
    `${whole(accepted)} accepted`,
    `${whole(delivered)} delivered`,
    `${whole(pending)} pending${isShared ? ' in the stream' : ''}`,
    `${whole(deadLettered)} dead lettered`,
    ...(quarantined > 0 ? [`${whole(quarantined)} quarantined`] : []),
  ];
  const beside = duplicates === 0 ? '' : `; beside these, not stored: ${plural(duplicates, 'duplicate')}`;
  const sum = isShared ? parts.join(', ') : `${parts[0]} = ${parts.slice(1).join(' + ')}`;
  setText(byId('sum'), `This run: ${sum}${beside}`);
}

function door({
  door: { inPerSecond, refusedPerSecond, failedPerSecond, p50Ms, p99Ms, connections },
}: Snapshot): Stage {
  const isRefusing = refusedPerSecond > 0;
  return {
    big: { value: rate(inPerSecond), unit: 'events/s in' },
    rows: [
      { name: '202 after, p50', value: plain(milliseconds(p50Ms)) },
      { name: '202 after, p99', value: plain(milliseconds(p99Ms)) },
      { name: '429', value: `${rate(refusedPerSecond)} /s`, level: isRefusing ? 'attention' : 'well' },
      ...(failedPerSecond > 0
        ? [{ name: '503', value: `${rate(failedPerSecond)} /s`, level: 'trouble' as const }]
        : []),
      { name: 'connections', value: count(connections) },
    ],
    level: failedPerSecond > 0 ? 'trouble' : isRefusing ? 'attention' : 'well',
  };
}

function queue({ queue: at }: Snapshot): Stage {
  const fullness = Math.max(at.events / at.eventsMax, at.bytes / at.bytesMax);
  return {
    big: { value: count(at.events), unit: at.events === 1 ? 'event' : 'events' },
    rows: [
      { name: 'bound', value: `${count(at.eventsMax)} events` },
      { name: 'bytes', value: `${plain(bytes(at.bytes))} of ${plain(bytes(at.bytesMax))}` },
    ],
    fullness,
    level: fullness >= FULL ? 'attention' : 'well',
  };
}

function disk({ disk: at, events }: Snapshot): Stage {
  const fullness = at.bytes / at.bytesMax;
  const drain =
    at.bytes === 0
      ? 'nothing waits'
      : at.drainSeconds === null
        ? 'nothing goes out'
        : duration(at.drainSeconds);
  const unread = events.unreadBatches;
  return {
    big: { value: count(events.pending), unit: events.pending === 1 ? 'event waits' : 'events wait' },
    rows: [
      ...(unread > 0 ? [{ name: 'earlier runs', value: `${count(unread)} batches` }] : []),
      { name: 'backlog', value: `${plain(bytes(at.bytes))} of ${plain(bytes(at.bytesMax))}` },
      { name: 'time to drain', value: drain },
      ...(at.roomSeconds === null ? [] : [{ name: 'room for', value: duration(at.roomSeconds) }]),
      { name: 'oldest', value: at.oldestSeconds === 0 ? NOTHING.value : duration(at.oldestSeconds) },
      ...replicas(at.replicas),
      ...(at.retained === null
        ? []
        : [
            {
              name: 'retained',
              value: `${plain(bytes(at.retained.bytes))}, ${duration(at.retained.oldestSeconds)} back`,
            },
          ]),
      ...(at.replicas === null
        ? [{ name: 'disk free', value: at.freeBytes === null ? NOTHING.value : plain(bytes(at.freeBytes)) }]
        : []),
    ],
    fullness,
    level: fullness >= FULL ? 'attention' : 'well',
  };
}

/** The copies of a log on several servers. */
function replicas(at: Snapshot['disk']['replicas']): Stage['rows'] {
  if (at === null) return [];
  const level: Level = at.leader === null ? 'trouble' : at.current < at.wanted ? 'attention' : 'well';
  return [
    { name: 'replicas', value: `${count(at.current)} of ${count(at.wanted)}`, level },
    { name: 'leader', value: at.leader ?? 'none', level: at.leader === null ? level : 'well' },
  ];
}

function sink({ sink: at, events: { deadLettered } }: Snapshot): Stage {
  const level: Level = at.breaker !== 'closed' ? 'trouble' : at.failuresInARow > 0 ? 'attention' : 'well';
  const isPaused = at.paused !== null;
  return {
    big: { value: rate(at.outPerSecond), unit: 'events/s out' },
    rows: [
      { name: 'kind', value: at.keepsNothing ? `${at.kind}, keeps nothing` : at.kind },
      ...(isPaused ? [{ name: 'delivery', value: 'paused', level: 'attention' as const }] : []),
      { name: 'breaker', value: at.breaker, level },
      ...(at.nextAttemptSeconds === null || isPaused
        ? []
        : [{ name: 'next attempt in', value: duration(at.nextAttemptSeconds) }]),
      { name: 'attempts now', value: `${count(at.running)} of ${count(at.concurrency)}` },
      {
        name: 'failed in a row',
        value: count(at.failuresInARow),
        level: at.failuresInARow > 0 ? level : 'well',
      },
      { name: 'failed attempts', value: count(at.failedAttempts) },
      ...(deadLettered > 0 ? [{ name: 'dead letters', value: count(deadLettered) }] : []),
    ],
    level: isPaused && level === 'well' ? 'attention' : level,
  };
}

function showStage(
  element: HTMLElement,
  { big, rows, fullness }: Stage,
  level: Level,
  isBottleneck: boolean,
): void {
  element.dataset['level'] = level;
  element.classList.toggle('bottleneck', isBottleneck);
  fill(
    within(element, '.big'),
    [big.value, ` ${big.unit}`],
    () => create('span'),
    (span, text) => {
      setText(span, text);
    },
  );
  const list = within(element, 'dl');
  fill(list, rows, makeRow, (child, { name, value, level: rowLevel = 'well' }) => {
    child.dataset['level'] = rowLevel;
    setText(within(child, 'dt'), name);
    setText(within(child, 'dd'), value);
  });
  if (fullness !== undefined) showMeter(element, list, fullness);
}

function makeRow(): HTMLElement {
  const row = create('div');
  row.append(create('dt'), create('dd'));
  return row;
}

function showMeter(element: HTMLElement, before: HTMLElement, fullness: number): void {
  let meter = element.querySelector<HTMLElement>('.meter');
  if (meter === null) {
    meter = create('div', 'meter');
    meter.setAttribute('role', 'meter');
    meter.setAttribute('aria-label', 'how full');
    meter.append(create('div'));
    element.insertBefore(meter, before);
  }
  const percent = Math.min(100, fullness * 100);
  meter.setAttribute('aria-valuenow', percent.toFixed(1));
  meter.classList.toggle('high', fullness >= FULL);
  within(meter, 'div').style.width = `${percent}%`;
}
