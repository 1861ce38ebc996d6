import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import t from 'tap';
import { silentLogger } from '../../lib/base/reporter.js';
import { postgresConfig } from '../../lib/sinks/postgres/postgres-config.js';
import { SettingFile } from '../../lib/settings/setting-file.js';
import { until } from '../helpers/running-forebay.js';
import { tempDir } from '../helpers/temp-dir.js';

void t.test('a file is looked at once a second, or at once', async (t) => {
  const path = join(tempDir(t), 'file');
  const realNow = performance.now.bind(performance);
  let aheadMs = 0;
  t.intercept(performance, 'now', { value: () => realNow() + aheadMs });
  writeFileSync(path, 'one');
  const file = new SettingFile('flag', path, (text) => text.length, silentLogger);
  t.equal(file.value, 3);
  t.equal(await file.refresh(true), false, 'nothing is new');
  writeFileSync(path, 'four');
  t.equal(await file.refresh(false), false);
  aheadMs += 1001;
  t.equal(await file.refresh(false), true);
  t.equal(file.value, 4);
  writeFileSync(path, 'three');
  t.equal(await file.refresh(true), true);
  t.equal(file.value, 5);
});

void t.test(
  'connections to a database are made with the certificates that the file has by then',
  async (t) => {
    const path = join(tempDir(t), 'ca.pem');
    const realNow = performance.now.bind(performance);
    let aheadMs = 0;
    t.intercept(performance, 'now', { value: () => realNow() + aheadMs });
    writeFileSync(path, 'old');
    const ca = new SettingFile('--sink-ca', path, (text) => text, silentLogger);
    const pool = new pg.Pool(postgresConfig({ url: 'postgres://u:p@localhost/d', ca, timeoutMs: 1000 }));
    t.teardown(async () => pool.end());
    const given = (): unknown => {
      const client = new pg.Client(pool.options);
      const { ssl } = client.connection as unknown as { ssl: object };
      return { ...ssl }; // as pg hands it to TLS
    };
    t.match(given(), { ca: 'old', rejectUnauthorized: true });
    writeFileSync(path, 'new');
    aheadMs += 1001;
    given();
    await until(() => ca.value === 'new', 'it is read again');
    t.match(given(), { ca: 'new' });
  },
);
