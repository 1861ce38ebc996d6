import tap from 'tap';
import type { Source } from '../../lib/seams/source.js';
import { events } from '../../lib/sources/events/events-source.js';
import { isHeld } from '../helpers/collector.js';
import { chunk, CHUNKED, event, openRaw as open, post, whole } from '../helpers/raw-door.js';
import { RawClient } from '../helpers/raw-client.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';
import { until } from '../helpers/wait-for.js';

/** The source of plain events, and what was made for each request that came to it. */
function watched(): { readonly source: Source; readonly made: Record<'block' | 'body', WeakRef<object>[]> } {
  const made: Record<'block' | 'body', WeakRef<object>[]> = { block: [], body: [] };
  const readerFor: Source['readerFor'] = (head, limits) => {
    const newReader = events.readerFor(head, limits);
    return (lengthDeclared) => {
      const reader = newReader(lengthDeclared);
      made.block.push(new WeakRef(reader.block));
      const append = reader.append.bind(reader);
      reader.append = (piece) => {
        made.body.push(new WeakRef(piece));
        append(piece);
      };
      return reader;
    };
  };
  return { source: { ...events, readerFor }, made };
}

const MANY = Array.from({ length: 300 }, (_each, n) => event(`many-${n}`)).join('\n');
const NDJSON = { 'Content-Type': 'application/x-ndjson' };

/** Each way that a request may go, with the status of its answer. */
const WAYS: Readonly<Record<string, readonly [request: string, status: number]>> = {
  'on the fast path': [whole(event('fast')), 202],
  'on the fast path, many events': [whole(MANY, NDJSON), 202],
  'on the fast path, refused': [whole('{"id":"no type"}'), 400],
  "by node:http's way": [post(CHUNKED, `${chunk(event('slow'))}0\r\n\r\n`), 202],
  "by node:http's way, many events": [post({ ...CHUNKED, ...NDJSON }, `${chunk(MANY)}0\r\n\r\n`), 202],
  "by node:http's way, refused": [post(CHUNKED, `${chunk('{"id":"no type"}')}0\r\n\r\n`), 400],
};

void tap.test('after its answer nothing holds the body of a request or its events', async (group) => {
  for (const [way, [request, status]] of Object.entries(WAYS)) {
    void group.test(way, async (t) => {
      const { source, made } = watched();
      const { connect } = await open(t, { sources: [source] });
      const client = await connect();
      for (let nth = 0; nth < 3; nth++) {
        await client.send(request);
        t.equal((await client.answer()).status, status);
      }
      t.ok(
        made.block.length === 3 && made.body.length >= 3,
        'the connection stays open, also after the last',
      );
      for (const [what, all] of Object.entries(made)) {
        const held = await Promise.all(all.map(isHeld));
        t.notOk(held.includes(true), `a ${what} is held: ${held.join(' ')}`);
      }
    });
  }
  void group.test('refused as the queue is full', async (t) => {
    const { source, made } = watched();
    const { connect, disk, forebay } = await open(t, { sources: [source], queueSize: 1 });
    disk.hold();
    const [first, second] = [await connect(), await connect()];
    await first.send(whole(event('first')));
    await until(() => forebay.refusal(1, 1) !== null, 'the queue is full');
    made.body.length = 0;
    await second.send(post(CHUNKED, `${chunk(event('second'))}0\r\n\r\n`));
    t.equal((await second.answer()).status, 429);
    disk.release();
    t.equal((await first.answer()).status, 202);
    for (const all of Object.values(made))
      for (const each of all) t.notOk(await isHeld(each), 'also of the first, once it has its answer');
  });
});

/** Has the server say at each scavenge how many bytes grew old; it comes often, as the young generation stays small. */
const FLAGS = `import { setFlagsFromString } from 'node:v8';
setFlagsFromString('--trace-gc-nvp');
setFlagsFromString('--semi-space-growth-factor=1');`;
const CONNECTIONS = 32;
const ROUNDS = 500;
const BYTES_MAX = 100;

/**
 * A dead object of the old generation holds what it refers to until the next full collection. If the next request is
 * among that, so are all later ones: several hundred bytes of each.
 */
void tap.test('no dead request holds the next one', async (group) => {
  for (const way of ['on the fast path', "by node:http's way"]) {
    void group.test(way, async (t) => {
      const environment = { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(FLAGS)}` };
      const flags = ['--port', '0', '--log-dir', tempDir(t), '--sink-latency', '0', '--fsync', 'never'];
      const server = new ServerProcess(flags, environment);
      t.teardown(() => server.stop('SIGKILL'));
      await server.listening();
      const clients = await Promise.all(
        Array.from({ length: CONNECTIONS }, async () => RawClient.connect(server.port)),
      );
      const [request] = WAYS[way] ?? [''];
      const run = async (rounds: number): Promise<void> => {
        for (let round = 0; round < rounds; round++) {
          await Promise.all(
            clients.map(async (client) => {
              await client.send(request);
              if ((await client.answer()).status !== 202) t.fail('an event is not taken');
            }),
          );
        }
      };
      await run(ROUNDS / 10);
      const before = server.lines.length;
      await run(ROUNDS);
      const grown = server.lines.slice(before).map((line) => Number(/ promoted=(\d+) /.exec(line)?.[1] ?? 0));
      t.ok(grown.length > 10, `${grown.length} lines`);
      const bytes = grown.reduce((sum, each) => sum + each, 0) / (ROUNDS * CONNECTIONS);
      t.ok(bytes < BYTES_MAX, `${bytes.toFixed(0)} bytes of each request grow old`);
      for (const { socket } of clients) socket.destroy();
    });
  }
});
