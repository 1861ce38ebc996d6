import type { Statistics } from '../../statistics.js';
import { counter, gauge } from './family.js';
import type { Family } from './family.js';

/** The metrics of a replicated log; none if the log is not replicated. */
export function replicaFamilies({ replicas: log, doubtful }: Statistics): Family[] {
  if (log === null) return [];
  const { stream, replicas, servers, handedOut, redelivered } = log;
  const of = (value: (server: (typeof servers)[number]) => number) =>
    servers.map((server) => ({ value: value(server), labels: { server: server.name } }));
  return [
    gauge('log_replicas', 'Copies that the stream of the log is to have.', [
      { value: replicas, labels: { stream } },
    ]),
    gauge(
      'log_replica_leads',
      '1 for the server that leads the stream: without one no event is taken.',
      of(({ isLeader }) => Number(isLeader)),
    ),
    gauge(
      'log_replica_current',
      '1 for a server that has all that is acknowledged, and answers.',
      of(({ isCurrent }) => Number(isCurrent)),
    ),
    gauge(
      'log_replica_lag',
      'How many entries a server lacks.',
      of(({ lag }) => lag),
    ),
    gauge('log_handed_out', 'Messages that are with some instance and not confirmed.', handedOut),
    gauge('log_redelivered', 'Of those, handed out more than once.', redelivered),
    counter(
      'log_doubtful',
      'Attempts of this instance to store a message that ended without an answer; each is repeated under its id.',
      doubtful,
    ),
  ];
}
