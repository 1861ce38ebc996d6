import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Page } from 'playwright-core';
import t from 'tap';
import type { Test } from 'tap';
import { madeKey, openKeys } from '../helpers/keys-file.js';
import { ids, openRaw } from '../helpers/raw-door.js';
import { until } from '../helpers/wait-for.js';

const CHROMIUM = '/usr/bin/chromium';
const skip = existsSync(CHROMIUM) ? false : `${CHROMIUM} is not installed`;
const CLIENT = 'dist/lib/client';

/** A web server with the client as it was compiled, and an empty page at each other path. @returns its port */
async function site(t: Test): Promise<number> {
  const server = createServer(({ url = '' }, res) => {
    const file = join(CLIENT, basename(url));
    if (url.startsWith('/client/') && existsSync(file))
      res.setHeader('content-type', 'text/javascript').end(readFileSync(file));
    else res.setHeader('content-type', 'text/html').end('<title>a</title>');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

/** Runs code in the page, with a client. */
async function inPage(page: Page, options: object, code: string): Promise<unknown> {
  return page.evaluate(`(async () => {
    const { ForebayClient } = await import('/client/index.js');
    const client = new ForebayClient(${JSON.stringify(options)});
    const codes = [];
    ${code}
  })()`);
}

void t.test('a page sends with the client as it is compiled', { skip, timeout: 110_000 }, async (t) => {
  const port = await site(t);
  const { key, line } = madeKey('page');
  const door = await openRaw(t, {
    corsOrigins: [`http://127.0.0.1:${port}`],
    keys: openKeys(t, [line]).keys,
    depthMax: 8,
    queueSize: 400,
  });
  const url = `http://127.0.0.1:${door.server.port}/events`;
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  t.teardown(async () => browser.close());
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${port}/`);

  const sent = await inPage(
    page,
    { url, key, waitMs: 10 },
    `for (let data = 0; data < 1000; data++)
      client.send({ id: data === 7 ? 'deep' : 'e' + data, type: 't', data: data === 7 ? [[[[[[[[[1]]]]]]]]] : data })
        .catch(({ code, field }) => codes.push(code));
    await client.send({ type: 't', data: 'own id' });
    const { sent, accepted, refused, bufferedEvents, retries } = client;
    return { codes, sent, accepted, refused, bufferedEvents, retries, left: await client.stop() };`,
  );
  t.strictSame(sent, {
    codes: ['EVENT_TOO_DEEP'],
    sent: 1001,
    accepted: 1000,
    refused: 1,
    bufferedEvents: 0,
    retries: 0,
    left: [],
  });
  await door.sink.received(1000);
  const arrived = ids(door.sink.lines);
  t.match(arrived.pop(), /^[0-9a-f-]{36}$/);
  t.same(
    arrived,
    Array.from({ length: 1000 }, (_, data) => `e${data}`).filter((id) => id !== 'e7'),
    'in order',
  );

  t.match(
    await inPage(
      page,
      { url, key: 'wrong' },
      `client.send({ id: 'left', type: 't', data: 1 });
      return client.stop({ timeoutMs: 500 });`,
    ),
    [{ id: 'left' }],
    'a wrong key',
  );

  // not a secure context: there is no crypto.randomUUID
  const plain = await browser.newPage();
  await plain.goto(`http://127.0.0.1:${port}/`);
  await plain.evaluate('delete Crypto.prototype.randomUUID');
  await inPage(
    plain,
    { url, key },
    `if ('randomUUID' in crypto) throw new Error('it is there');
    await client.send({ type: 't', data: 1 });`,
  );
  await until(() => door.sink.lines.length === 1001, 'it arrives');
  t.match(
    ids(door.sink.lines).at(-1),
    /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/,
    'the id is one of version 4 all the same',
  );
});

void t.test(
  'what docs/client.md shows for a page sends its last event while the page is left',
  { skip, timeout: 60_000 },
  async (t) => {
    const [, example = ''] = [
      ...readFileSync('docs/client.md', 'utf8').matchAll(/^```js\n(import [^\n]* '\/client\/.*?)^```$/gms),
    ].flat();
    const port = await site(t);
    const door = await openRaw(t, { corsOrigins: [`http://127.0.0.1:${port}`] });
    // nothing but the end of the page sends it
    const options = `url: 'http://127.0.0.1:${door.server.port}/events', waitMs: 600_000`;
    const code = example.replace("url: 'https://events.example/events'", options);
    t.match(code, /600_000/);
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
    t.teardown(async () => browser.close());
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${port}/`);
    await page.addScriptTag({ type: 'module', content: `${code}globalThis.isRunning = true;` });
    await page.waitForFunction('globalThis.isRunning');
    await page.mouse.click(10, 20);
    await page.goto(`http://127.0.0.1:${port}/other`);
    await until(() => door.sink.lines.length > 0, 'it arrives', 20_000);
    t.match(JSON.parse(door.sink.lines[0] ?? ''), { type: 'click', data: { x: 10, y: 20 } });
  },
);
