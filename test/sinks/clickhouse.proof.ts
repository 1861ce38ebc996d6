import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { request } from 'undici';
import { clickHouseBinary, ClickHouseServer } from '../helpers/clickhouse-server.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';
import { until } from '../helpers/wait-for.js';

const binary = clickHouseBinary();
const example = readFileSync('examples/clickhouse/README.md', 'utf8');

void t.test(
  'the example for ClickHouse: a bad row is a dead letter, a server that was away takes all others',
  { skip: binary === null ? 'clickhouse-server is not installed' : false, timeout: 100_000 },
  async (t) => {
    const dir = tempDir(t);
    const clickHouse = await ClickHouseServer.create(binary ?? '', join(dir, 'clickhouse'));
    t.teardown(async () => clickHouse.stop());
    await clickHouse.query(readFileSync('examples/clickhouse/events.sql', 'utf8'));
    // as the example says, but for where it is
    const flags = /^node bin\/server\.js (.*) '(.*)'$/m.exec(example);
    const url = (flags?.[2] ?? '').replace('localhost:8123', `127.0.0.1:${clickHouse.port}`);
    const logDir = join(dir, 'log');
    const server = await ServerProcess.start(...(flags?.[1] ?? '').split(' '), url, '--log-dir', logDir);
    t.teardown(async () => server.stop('SIGKILL'));
    const send = async (from: number, to: number, more: readonly string[] = []): Promise<void> => {
      const lines = [...more];
      for (let n = from; n < to; n++) lines.push(JSON.stringify({ id: `e${n}`, type: 't', data: `${n}` }));
      const headers = { 'content-type': 'application/x-ndjson' };
      const body = lines.join('\n');
      const { statusCode, body: answer } = await request(server.url, { method: 'POST', headers, body });
      await answer.dump();
      t.equal(statusCode, 202);
    };
    await send(0, 99, ['{"id":"bad","type":"t","data":"1","timestamp":"soon"}']);
    await server.line(/1 of 100 events of .* are in .*dead-letters/);
    await clickHouse.stop();
    await send(99, 350);
    await server.line(/Delivery failed.*ECONNREFUSED/);
    await clickHouse.start();
    const counts = async (): Promise<Record<string, number>> => {
      const { body } = await request(server.url.replace('/events', '/health'));
      return ((await body.json()) as { events: Record<string, number> }).events;
    };
    await until(async () => (await counts())['pending'] === 0, 'all are settled');
    t.match(await counts(), { accepted: 351, delivered: 350, deadLettered: 1 });
    const rows = await clickHouse.query(
      'SELECT id, data FROM events FINAL ORDER BY toUInt32(data) FORMAT TSV',
    );
    const expected = Array.from({ length: 350 }, (_, n) => `e${n}\t${n}\n`).join('');
    t.equal(rows, expected, 'each once');
    const letters = readdirSync(join(logDir, 'dead-letters')).map((name) =>
      readFileSync(join(logDir, 'dead-letters', name), 'utf8'),
    );
    t.match(letters, [/"event":\{"id":"bad"/]);
    t.equal(await server.stop('SIGTERM'), 0);
  },
);
