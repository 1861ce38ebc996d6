import { execFileSync } from 'node:child_process';
import { closeSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import t from 'tap';
import { silentLogger } from '../../lib/base/reporter.js';
import { postgresConfig } from '../../lib/sinks/postgres/postgres-config.js';
import { SettingFile } from '../../lib/settings/setting-file.js';
import { until } from '../helpers/running-forebay.js';
import { stopClock } from '../helpers/stop-clock.js';
import { tempDir } from '../helpers/temp-dir.js';

void t.test('a file is looked at once a second, or at once', async (t) => {
  const path = join(tempDir(t), 'file');
  const passMs = stopClock(t);
  writeFileSync(path, 'one');
  const file = new SettingFile('flag', path, (text) => text.length, silentLogger);
  t.equal(file.value, 3);
  t.equal(await file.refresh(true), false, 'nothing is new');
  writeFileSync(path, 'four');
  t.equal(await file.refresh(false), false);
  passMs(1001);
  t.equal(await file.refresh(false), true);
  t.equal(file.value, 4);
  writeFileSync(path, 'three');
  t.equal(await file.refresh(true), true);
  t.equal(file.value, 5);
});

void t.test('a content that is wrong is looked at once, and the one before is used', async (t) => {
  const path = join(tempDir(t), 'file');
  const warnings: string[] = [];
  const warn = (_: object, text: string): void => void warnings.push(text);
  const parsed: string[] = [];
  const parse = (text: string): string => {
    parsed.push(text);
    if (text.startsWith('wrong')) throw new Error(`it is ${text}`);
    return text;
  };
  writeFileSync(path, 'one');
  const file = new SettingFile('--flag', path, parse, { ...silentLogger, warn });
  for (const wrong of ['wrong', 'wrong, too']) {
    writeFileSync(path, wrong);
    for (let looks = 0; looks < 3; looks++) t.equal(await file.refresh(true), false);
    t.equal(file.value, 'one');
    t.equal(file.isStale, true);
  }
  t.same(parsed, ['one', 'wrong', 'wrong, too']);
  t.same(
    warnings,
    ['wrong', 'wrong, too'].map(
      (wrong) =>
        `The file ${path} (--flag) cannot be read: it is ${wrong}; its last content is used as before`,
    ),
  );
  writeFileSync(path, 'one more');
  t.equal(await file.refresh(true), true);
  t.equal(file.value, 'one more');
  t.equal(file.isStale, false);
});

void t.test('a watched file that hangs takes one thread for files, not all of them', async (t) => {
  const path = join(tempDir(t), 'file');
  writeFileSync(path, 'one');
  let look: () => void = () => undefined;
  t.intercept(globalThis, 'setInterval', {
    value: (callback: () => void) => {
      look = callback;
      return { unref: () => undefined };
    },
  });
  const file = new SettingFile('--file', path, (text) => text, silentLogger);
  file.watch();
  rmSync(path);
  execFileSync('mkfifo', [path]); // to read it waits until someone writes
  const letGo = (): void => {
    const fd = openSync(path, 'r+');
    writeSync(fd, 'two');
    closeSync(fd);
  };
  t.teardown(letGo); // also those of a test that fails
  for (let looks = 0; looks < 20; looks++) {
    look();
    await sleep(5);
  }
  let isRead = false;
  stat('.').then(
    () => (isRead = true),
    () => undefined,
  );
  await until(() => isRead, 'other files can be read');
  t.equal(file.value, 'one');
  letGo();
  await until(() => file.value === 'two', 'it is read at last');
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
