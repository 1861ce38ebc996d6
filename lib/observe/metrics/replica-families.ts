import type { Statistics } from '../../statistics.js';
import { counter, gauge } from './family.js';
import type { Family, Sample } from './family.js';

/** The metrics of a replicated log. They have no samples if the log is not replicated. */
export function replicaFamilies({
  replicas: log,
  doubtful,
}: Pick<Statistics, 'replicas' | 'doubtful'>): Family[] {
  const servers = log?.servers ?? [];
  const of = (value: (server: (typeof servers)[number]) => number): readonly Sample[] =>
    servers.map((server) => ({ value: value(server), labels: { server: server.name } }));
  const wanted = log === null ? [] : [{ value: log.replicas, labels: { stream: log.stream } }];
  return [
    gauge('log_replicas', 'Copies that the stream of the log is to have.', wanted, 'max'),
    gauge(
      'log_replica_leads',
      '1 for the server that leads the stream: without one no event is taken.',
      of(({ isLeader }) => Number(isLeader)),
      'max',
    ),
    gauge(
      'log_replica_current',
      '1 for a server that has all that is acknowledged, and answers.',
      of(({ isCurrent }) => Number(isCurrent)),
      'max',
    ),
    gauge(
      'log_replica_lag',
      'How many entries a server lacks.',
      of(({ lag }) => lag),
      'max',
    ),
    gauge(
      'log_handed_out',
      'Messages that instances hold and have not confirmed.',
      log?.handedOut ?? null,
      'max',
    ),
    gauge('log_redelivered', 'Of those, handed out more than once.', log?.redelivered ?? null, 'max'),
    counter(
      'log_doubtful',
      'Attempts of this instance to store a message that ended without an answer; each is repeated under its id.',
      log === null ? null : doubtful,
    ),
  ];
}
