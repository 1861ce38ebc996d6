import type { Snapshot } from '../messages.js';
import { showBatches } from './batches.js';
import { Charts } from './charts.js';
import { byId, setText } from './dom.js';
import { duration } from './format.js';
import { showLetters } from './letters.js';
import { listen } from './live.js';
import { showPipeline } from './pipeline.js';
import { showSink } from './sink.js';
import { showSources } from './sources.js';
import { verdict } from './verdict.js';
import type { Verdict } from './verdict.js';

const charts = new Charts();
let current: Verdict | null = null;
let version: string | null = null;

listen({
  url: 'page/live',
  onHistory: (history) => {
    charts.begin(history);
  },
  onSnapshot: show,
  onAge: showAge,
});

function show(snapshot: Snapshot): void {
  version ??= snapshot.version;
  // another server than the one that this page came from: it may say other things
  if (version !== snapshot.version) location.reload();
  current = verdict(snapshot, location.origin);
  setText(byId('headline'), current.headline);
  setText(byId('detail'), current.detail);
  setText(byId('command'), current.command);
  setText(byId('about'), `${snapshot.version} · up ${duration(snapshot.upSeconds)}`);
  showPipeline(snapshot, current);
  showSources(snapshot);
  showSink(snapshot);
  showBatches(snapshot);
  showLetters(snapshot);
  charts.add(snapshot.point);
}

const MARKS = { well: '', attention: '▲ ', trouble: '● ' } as const;

function showAge(ageSeconds: number | null, isStale: boolean): void {
  const stale = byId('stale');
  stale.hidden = !isStale;
  document.body.classList.toggle('is-stale', isStale);
  document.body.dataset['level'] = isStale || current === null ? 'unknown' : current.level;
  if (isStale) {
    const what =
      ageSeconds === null ? 'Nothing has come yet.' : `What you see is ${duration(ageSeconds)} old.`;
    setText(stale, `${what} The server does not answer, or has too many pages open; trying again.`);
    setText(byId('live'), 'not live');
    document.title = '? Forebay';
    return;
  }
  setText(byId('live'), ageSeconds === null ? 'connecting…' : 'live');
  const said = current === null || current.level === 'well' ? '' : `: ${current.headline}`;
  document.title = `${current === null ? '' : MARKS[current.level]}Forebay${said}`;
}
