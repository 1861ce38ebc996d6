import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import split from 'split2';
import t from 'tap';
import { ForebayClient } from '../../lib/client/index.js';
import type { ClientEvent } from '../../lib/client/index.js';
import { CLOCK } from '../../lib/client/clock.js';
import type { Clock } from '../../lib/client/clock.js';
import { freePort } from '../helpers/free-port.js';
import { SEED } from '../helpers/seed.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';
import { until } from '../helpers/wait-for.js';
import { Random } from '../simulation/random.js';
import { CuttingProxy } from './cutting-proxy.js';

/** More flags for the server. With `--id-window 1h` each event must be stored once, without it at least once. */
const SERVER_FLAGS: readonly string[] = ['--id-window', '1h'];
const COPIES_MAX = SERVER_FLAGS.includes('--id-window') ? 1 : Infinity;

const CLIENTS = 4;
const EVENTS = 100_000;
const BATCH_EVENTS = 100;
/** Fewer than the clients have under way, so that it is full. */
const QUEUE_EVENTS = 250;
const KILLS = 8;
const STOPS = 4;
const RUDENESS = { requestBytesMax: 200_000, answerBytesMax: 4_000, delayMsMax: 4 };
/** A second of a client is this many milliseconds: neither Retry-After nor timeouts are what is proved here. */
const SECOND_MS = 40;

/** A clock whose waits are shorter, with the chance of a seed. */
function fastClock(random: Random): Clock {
  return {
    nowMs: () => CLOCK.nowMs(),
    after: (ms, run) => CLOCK.after((ms / 1000) * SECOND_MS, run),
    random: () => random.next(),
  };
}

/** Each id that the sink has, with the number of different lines: a batch that is delivered again has the same ones. */
async function copiesIn(file: string): Promise<{ copies: Map<string, number>; lines: number }> {
  const seen = new Map<string, Set<string>>();
  let lines = 0;
  const stream = createReadStream(file).pipe(split());
  stream.on('data', (line: string) => {
    lines++;
    const { id } = JSON.parse(line) as { id: string };
    seen.set(id, (seen.get(id) ?? new Set()).add(line));
  });
  await once(stream, 'end');
  return { copies: new Map([...seen].map(([id, { size }]) => [id, size])), lines };
}

void t.test(
  'each of 100,000 events gets through a server that is killed, full, slow and cut off',
  { timeout: 300_000 },
  async (t) => {
    const random = new Random(SEED);
    const dir = tempDir(t);
    const sinkFile = join(dir, 'sink.jsonl');
    const port = await freePort();
    const flags = ['--port', String(port), '--log-dir', join(dir, 'log'), '--sink', 'file'];
    flags.push('--sink-file', sinkFile, '--queue-size', String(QUEUE_EVENTS), '--batch-wait', '50');
    flags.push(...SERVER_FLAGS);
    let server = await new ServerProcess(flags).listening();
    t.teardown(async () => server.stop('SIGKILL'));
    const proxy = await CuttingProxy.open(t, port, new Random(random.whole(0, 2 ** 31)), RUDENESS);

    const retried = new Map<string, number>();
    const refused: string[] = [];
    const clients = Array.from(
      { length: CLIENTS },
      () =>
        new ForebayClient(
          {
            url: `http://127.0.0.1:${proxy.port}/events`,
            batchEvents: BATCH_EVENTS,
            bufferEvents: 4 * BATCH_EVENTS,
            timeoutMs: 10_000,
            onRetry: ({ code }) => retried.set(code, (retried.get(code) ?? 0) + 1),
            onRefused: (event, { code }) => refused.push(`${event.id} ${code}`),
          },
          fastClock(new Random(random.whole(0, 2 ** 31))),
        ),
    );
    const left: ClientEvent[] = [];
    const sending = clients.map(async (client, sender) => {
      for (let number = sender; number < EVENTS; number += CLIENTS) {
        await client.ready();
        void client.send({ id: `event-${number}`, type: 'chaos', data: { number, text: 'x'.repeat(50) } });
      }
      await client.flush();
      left.push(...(await client.stop()));
    });
    const accepted = (): number => clients.reduce((sum, client) => sum + client.accepted, 0);

    // at which number of accepted events what happens: these two never at the same one
    const moment = (): number => random.whole(1, EVENTS - CLIENTS * BATCH_EVENTS);
    const kills = Array.from({ length: KILLS }, () => ({ at: moment(), isKill: true }));
    const stops = Array.from({ length: STOPS }, () => ({ at: moment(), isKill: false }));
    for (const { at, isKill } of [...kills, ...stops].toSorted((a, b) => a.at - b.at)) {
      await until(() => accepted() >= at, `${at} events are accepted`, 120_000);
      if (isKill) {
        await server.stop('SIGKILL');
        server = await new ServerProcess(flags).listening();
      } else {
        // longer than the clients wait for an answer
        server.signal('SIGSTOP');
        await sleep(12 * SECOND_MS);
        server.signal('SIGCONT');
      }
    }
    await Promise.all(sending);
    await server.stop('SIGKILL');
    server = await new ServerProcess([...flags, '--replay-wait', '600000']).listening();
    await server.stop('SIGTERM');

    const { copies, lines } = await copiesIn(sinkFile);
    const missing = Array.from({ length: EVENTS }, (_, number) => `event-${number}`).filter(
      (id) => !copies.has(id),
    );
    t.same(missing.slice(0, 10), [], 'no event is missing');
    t.equal(copies.size, EVENTS, 'and none is there that was not sent');
    t.same(refused, [], 'none was refused');
    t.same(left, [], 'none was left');
    t.equal(accepted(), EVENTS);
    const repeated = [...copies.values()].filter((number) => number > 1).length;
    t.ok(
      [...copies.values()].every((number) => number <= COPIES_MAX),
      `${repeated} were stored twice`,
    );
    const duplicates = clients.reduce((sum, client) => sum + client.duplicates, 0);
    t.comment(`${lines} lines, ${repeated} ids stored twice, ${duplicates} duplicates, seed ${SEED}`);
    t.comment(JSON.stringify({ ...Object.fromEntries(retried), cuts: proxy.cuts }));
    // otherwise nothing was proved
    t.ok(proxy.cuts.requests > 10 && proxy.cuts.answers > 10, 'connections were cut');
    for (const code of ['UNREACHABLE', 'TIMEOUT', 'QUEUE_FULL'])
      t.ok((retried.get(code) ?? 0) > 0, `the clients met ${code}`);
    t.ok(repeated + duplicates > 0, 'what had arrived was sent again');
  },
);
