import type { Attack, Kind } from '../attack.js';
import { ask, event, JSON_TYPE, post } from '../requests.js';

const HOLD_MS = 2000;
const PIPELINED_BYTES = 1_200_000;
const SERVED = [200, 429, 503];

function pipelined(request: Buffer, bytes: number): Buffer {
  return Buffer.concat(Array.from({ length: Math.ceil(bytes / request.length) }, () => request));
}

function pipelinedKind(name: string, path: string): Kind {
  return {
    name: `pipelined-${name}`,
    about: `1.2 MB of GET ${path} over one connection`,
    async attack(attack) {
      const bytes = pipelined(ask(attack.host, 'GET', path), PIPELINED_BYTES);
      await attack.flood(bytes, { holdMs: HOLD_MS, statuses: SERVED });
    },
  };
}

export const PIPELINED = [
  pipelinedKind('metrics', '/metrics'),
  pipelinedKind('health', '/health'),
  pipelinedKind('page', '/'),
  pipelinedKind('file', '/page/uplot.js'),
  pipelinedKind('live', '/page/live'),
];

export const PIPELINED_EVENTS: Kind = {
  name: 'pipelined-events',
  about: '5,000 pipelined events over one connection, good ones and broken ones',
  async attack(attack) {
    const requests = Array.from({ length: 5000 }, (_, index) =>
      post(attack.host, index % 3 === 0 ? '{' : event(attack.newId()), JSON_TYPE),
    );
    await attack.flood(Buffer.concat(requests), { holdMs: HOLD_MS, statuses: [202, 400, 429, 503] });
  },
};

export const UNREAD_ANSWERS: Kind = {
  name: 'unread-answers',
  about: '90 connections that pipeline 20 KB each and read no answer',
  async attack(attack) {
    const floods = ['/metrics', '/page/uplot.js', '/health'].map(async (path) => {
      const bytes = pipelined(ask(attack.host, 'GET', path), 20_000);
      await attack.flood(bytes, { connections: 30, reads: false, holdMs: HOLD_MS, statuses: [] });
    });
    await Promise.all(floods);
  },
};

export const SILENT_CONNECTIONS: Kind = {
  name: 'silent-connections',
  about: '2,500 connections that send nothing, while /health must answer',
  async attack(attack) {
    await held(attack, 2500, HOLD_MS, async () => attack.hold(HOLD_MS));
  },
};

/** As many as a head may have, but for those that an event needs. */
const HEADER_LINES = 1990;

export const LONG_HEADS: Kind = {
  name: 'long-heads',
  about: '1,500 connections that send an event below 1,990 short header lines, and then nothing',
  async attack(attack) {
    const lines = Array.from({ length: HEADER_LINES }, (_each, n): [string, string] => [n.toString(36), '1']);
    const bytes = post(attack.host, event(attack.newId()), { ...JSON_TYPE, ...Object.fromEntries(lines) });
    await attack.flood(bytes, { connections: 1500, holdMs: HOLD_MS, statuses: [202, 429] });
  },
};

/** The server gives a request ten seconds for its head, and looks each half second. */
const HEAD_MS = 10_000;
const LATE_MS = 2500;
const EACH_MS = 250;

export const LINE_ENDS: Kind = {
  name: 'line-ends',
  about: '60 connections that send a line end each quarter second, or nothing, until they are closed',
  limitMs: HEAD_MS + 2 * LATE_MS,
  async attack(attack) {
    const endMs = performance.now() + HEAD_MS + LATE_MS;
    const connections = Array.from({ length: 60 }, () => attack.connect());
    const what = [Buffer.from('\r\n'), Buffer.from('\n'), null];
    while (performance.now() < endMs && !attack.isOver && connections.some(({ isClosed }) => !isClosed)) {
      for (const [index, connection] of connections.entries()) {
        const bytes = what[index % what.length] ?? null;
        if (bytes !== null) connection.send(bytes);
      }
      await attack.hold(EACH_MS);
    }
    const left = connections.filter(({ isClosed }) => !isClosed).length;
    if (left > 0) attack.fault(`${left} of ${connections.length} still open after ${HEAD_MS + LATE_MS} ms`);
    for (const connection of connections) attack.leave(connection, [400, 408]);
  },
};

async function held(attack: Attack, count: number, openMs: number, hold: () => Promise<void>): Promise<void> {
  const connections = [];
  for (let index = 0; index < count && !attack.isOver; index++) {
    connections.push(attack.connect());
    if (index % 100 === 99) await attack.hold(10);
  }
  await Promise.race([hold(), attack.hold(2 * openMs)]);
  for (const connection of connections) attack.leave(connection, [408, 429]);
}
