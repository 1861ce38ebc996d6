import type { BatchState, Snapshot } from '../messages.js';
import { noBatches } from './batch-words.js';
import { byId, create, fill, setText, within } from './dom.js';
import { batchName, count, plural } from './format.js';
import type { Level } from './verdict.js';

/** The newest batches with their state. */
export function showBatches(snapshot: Snapshot): void {
  const { batches } = snapshot;
  setText(byId('batches-none'), batches.length === 0 ? noBatches(snapshot) : '');
  byId('batches-section').classList.toggle('empty', batches.length === 0);
  fill(byId('batches'), batches, makeRow, (row, batch) => {
    row.dataset['level'] = levelOf(batch);
    row.dataset['stage'] = batch.stage;
    setText(within(row, '.name'), batchName(batch.name));
    within(row, '.name').title = batch.name;
    setText(within(row, '.number'), batch.events === null ? '?' : count(batch.events));
    setText(within(row, '.state'), stateWords(batch));
    setText(within(row, '.why'), batch.error);
  });
}

function makeRow(): HTMLElement {
  const row = create('tr');
  const state = create('td');
  state.append(create('span', 'state'), create('span', 'why'));
  row.append(create('td', 'name'), create('td', 'number'), state);
  return row;
}

function stateWords({ stage, refused, events }: BatchState): string {
  if (refused === 0) return stage;
  const letters = plural(refused, 'dead letter');
  return refused === events && stage === 'delivered' ? letters : `${stage}, ${letters}`;
}

function levelOf({ stage, refused }: BatchState): Level {
  if (stage === 'trying again') return 'trouble';
  return stage === 'held back' || stage === 'aside' || refused > 0 ? 'attention' : 'well';
}
