import type { Forebay } from '../../forebay.js';
import type { Statistics } from '../../statistics.js';
import { counter, gauge } from './family.js';
import type { Family } from './family.js';

type IdUsage = ReturnType<Forebay['idUsage']>[number];

/** Events that came again, by source, and how long their ids are known. None if no source has an id window. */
export function idFamilies(
  usage: readonly IdUsage[],
  { idFailures }: Pick<Statistics, 'idFailures'>,
): Family[] {
  if (usage.length === 0) return [];
  const bySource = (value: (of: IdUsage) => number): { value: number; labels: { source: string } }[] =>
    usage.map((of) => ({ value: value(of), labels: { source: of.source } }));
  return [
    counter(
      'events_duplicate',
      'Events answered with success and not stored, as their ids were known, by source; conflicts are among them.',
      bySource(({ duplicates }) => duplicates),
    ),
    counter(
      'events_id_conflict',
      'Of these, events with other content than the first one with their id. If refused, they count as refused only.',
      bySource(({ conflicts }) => conflicts),
    ),
    gauge(
      'id_window_seconds',
      'How long ids are kept in fact, by source: as set, or less if there are more than --id-window-max.',
      bySource(({ effectiveSeconds }) => effectiveSeconds),
      'min',
    ),
    gauge(
      'id_window_seconds_max',
      'The bound of forebay_id_window_seconds (--id-window, or id-window of the source).',
      bySource(({ windowSeconds }) => windowSeconds),
      'max',
    ),
    gauge(
      'id_window_ids',
      'Ids in memory, by source; the bound for each is --id-window-max.',
      bySource(({ ids }) => ids),
    ),
    counter(
      'id_window_failures',
      'How often ids could not be kept on disk: their events may be stored again after a restart.',
      idFailures,
    ),
  ];
}
