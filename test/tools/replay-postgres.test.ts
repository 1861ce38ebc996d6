import { join } from 'node:path';
import pg from 'pg';
import t from 'tap';
import { PostgresServer } from '../helpers/postgres-server.js';
import { eventText, until } from '../helpers/running-forebay.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';
import { runProcess } from '../helpers/tool-run.js';

const skip = PostgresServer.missing();
const EVENTS = 5000;

void t.test(
  'a table that was dropped by mistake is filled again from retention, each row once',
  { skip },
  async (t) => {
    const server = await PostgresServer.start(t);
    const url = server.url(await server.database());
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    t.teardown(async () => client.end());
    const rows = async (where = 'true'): Promise<number> => {
      const { rows: found } = await client
        .query<{ n: number }>(`SELECT count(*)::int AS n FROM events WHERE ${where}`)
        .catch(() => ({ rows: [] }));
      return found[0]?.n ?? 0;
    };
    const logDir = join(tempDir(t), 'log');
    const ofSink = [
      '--sink',
      'postgres',
      '--sink-postgres-url',
      url,
      '--sink-create-table',
      '--sink-replay-column',
      'replayed',
    ];
    const flags = [...ofSink, '--log-dir', logDir, '--retain', '1h', '--id-window', '1h'];
    const forebay = await ServerProcess.start(...flags);
    const send = async (from: number, to: number): Promise<void> => {
      for (let n = from; n < to; n += 500) {
        const lines = Array.from({ length: 500 }, (_, index) => eventText(`e${n + index}`, { n: n + index }));
        const headers = { 'content-type': 'application/x-ndjson' };
        const { status } = await fetch(forebay.url, { method: 'POST', headers, body: lines.join('\n') });
        t.equal(status, 202);
      }
    };
    await send(0, EVENTS);
    await until(async () => (await rows()) === EVENTS, 'all rows are there');
    t.equal(await rows('replayed'), 0);

    await client.query('DROP TABLE events');
    await send(EVENTS, EVENTS + 500); // the sink creates the table again
    await until(async () => (await rows()) === 500, 'it goes on with new rows');
    const replay = async (...args: string[]) =>
      runProcess(process.execPath, ['bin/log.js', 'replay', '--log-dir', logDir, '--from', '1h', ...args]);
    t.match(await replay('--dry-run'), { code: 0, out: /^5500 events in/ });
    t.match(await replay('--yes', '--url', forebay.url), {
      code: 1,
      err: /5500 events were not stored, as an id window knows/,
    });
    t.match(await replay('--yes', '--url', forebay.url, '--id-window', 'pass'), { code: 0, err: '' });
    await until(async () => (await rows()) === EVENTS + 500, 'all rows are there again');
    t.equal(await rows('replayed'), EVENTS, 'the table says which ones came by the replay');
    t.equal(await forebay.stop('SIGTERM'), 0);

    await client.query('DROP TABLE events');
    const straight = await replay('--yes', ...ofSink);
    t.match(straight, { code: 0, out: /5500 events sent again to the sink postgres\n$/ });
    t.equal(await rows(), EVENTS + 500, 'nor is a server needed');
    const { rows: ids } = await client.query('SELECT count(DISTINCT id)::int AS n FROM events');
    t.same(ids, [{ n: EVENTS + 500 }]);
  },
);
