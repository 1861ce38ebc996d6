import { appendFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Random } from '../simulation/random.js';

// An HTTP sink with moods, in a process of its own so that it can be killed. What it has taken stands in a file, an id
// a line, written before it answers.
// Called as: node dist/test/chaos/moody-server.js PORT FILE moody|well SEED

const [port = '', file = '', mood = 'well', seed = '1'] = process.argv.slice(2);
const random = new Random(Number(seed));

/** What it refuses, however often it gets it. */
const POISON = /poison$/;

type Mood = (res: ServerResponse, req: IncomingMessage, ids: readonly string[]) => void;

/** With how many of 100 requests it does what; the others are taken. */
const MOODS: readonly (readonly [number, Mood])[] = [
  [8, (res) => void res.writeHead(429, { 'Retry-After': '0' }).end()],
  [2, (res) => void res.writeHead(429, { 'Retry-After': '1' }).end('slowly')],
  [8, (res) => void res.writeHead(500).end('ouch')],
  [4, (res) => void res.writeHead(503).end()],
  [6, (_res, req) => void req.socket.resetAndDestroy()],
  [4, () => undefined],
  [
    4,
    (_res, req, ids) => {
      take(ids);
      req.socket.resetAndDestroy();
    },
  ],
  [
    4,
    (res, _req, ids) => {
      take(ids);
      res.writeHead(200, { 'Content-Length': '100' });
      res.write('half', () => res.destroy());
    },
  ],
  [10, (res, _req, ids) => void setTimeout(judge, 100 * random.next(), res, ids)],
];

const server = createServer((req, res) => {
  const pieces: Buffer[] = [];
  req.on('data', (piece: Buffer) => pieces.push(piece));
  req.on('end', () => {
    const lines = Buffer.concat(pieces).toString('utf8').split('\n').slice(0, -1);
    const ids = lines.map((line) => (JSON.parse(line) as { id: string }).id);
    let left = mood === 'moody' ? random.next() * 100 : Infinity;
    for (const [share, act] of MOODS) {
      left -= share;
      if (left >= 0) continue;
      act(res, req, ids);
      return;
    }
    judge(res, ids);
  });
});
server.listen(Number(port), '127.0.0.1', () => {
  console.log('listening');
});

/** Sometimes it says which events it means, sometimes only that it does not like the batch. */
function judge(res: ServerResponse, ids: readonly string[]): void {
  const refused = ids.flatMap((id, index) =>
    POISON.test(id) ? [{ index, reason: 'poison', status: 422 }] : [],
  );
  if (refused.length > 0 && random.chance(0.5)) {
    res.writeHead(422).end('there is poison in it');
    return;
  }
  take(ids);
  res.end(refused.length > 0 ? JSON.stringify({ refused }) : '');
}

function take(ids: readonly string[]): void {
  const good = ids.filter((id) => !POISON.test(id));
  if (good.length > 0) appendFileSync(file, `${good.join('\n')}\n`);
}
