import { existsSync } from 'node:fs';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';
import t from 'tap';
import { request } from 'undici';
import { IngestionServer } from '../../lib/door/ingestion-server.js';
import { pageRoutes } from '../../lib/observe/page/page-routes.js';
import { startForebay } from '../helpers/running-forebay.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';

const CHROMIUM = '/usr/bin/chromium';
const skip = existsSync(CHROMIUM) ? false : `${CHROMIUM} is not installed`;

/** In an id, in the reason of a refusal and in an error of the sink: shown as it is, or it would become a picture. */
const HOSTILE = (n: number): string => `<img src=x onerror="document.title='taken ${n}'">`;

/** A sink that takes all but what is of the type `bad`, until it is told to fail. */
async function startSink(): Promise<{ port: number; fail: (text: string | null) => void; stop: () => void }> {
  let error: string | null = null;
  const server = createServer((req, res) => {
    let body = '';
    req.setEncoding('utf8').on('data', (text: string) => (body += text));
    req.on('end', () => {
      if (error !== null) {
        res.writeHead(500).end(error);
        return;
      }
      const types = body
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { type: string }).type);
      const refused = types.flatMap((type, index) =>
        type === 'bad' ? [{ index, reason: `no ${HOSTILE(2)}`, status: 422 }] : [],
      );
      res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ refused }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    fail: (text) => (error = text),
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

void t.test(
  'in a browser: a flood, a sink that fails, a server that is killed, and all is well again',
  { skip, timeout: 110_000 },
  async (t) => {
    const sink = await startSink();
    t.teardown(sink.stop);
    const logDir = join(tempDir(t), 'log');
    const flags = ['--log-dir', logDir, '--sink', 'http', '--sink-url', `http://127.0.0.1:${sink.port}/`];
    let server = await ServerProcess.start(...flags);
    const { port, url } = server;
    t.teardown(async () => server.stop('SIGKILL'));
    const send = async (events: readonly object[]): Promise<void> => {
      const body = events.map((event) => JSON.stringify(event)).join('\n');
      const headers = { 'content-type': 'application/x-ndjson' };
      const { statusCode, body: answer } = await request(url, { method: 'POST', headers, body });
      await answer.dump();
      t.equal(statusCode, 202);
    };
    const event = (id: string, type = 'good'): object => ({ id, type, data: 1 });

    const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
    t.teardown(async () => browser.close());
    const page = await browser.newPage({ viewport: { width: 390, height: 844 } });
    page.setDefaultTimeout(30_000);
    const complaints: string[] = [];
    let isDown = false;
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      // a server that is away is told there by the browser itself
      const isOutage =
        isDown && message.text().includes('net::ERR_') && message.location().url.endsWith('/live');
      if (message.type() !== 'log' && !isOutage) complaints.push(message.text());
    });
    const elsewhere: string[] = [];
    page.on('request', (asked) => {
      if (new URL(asked.url()).host !== `127.0.0.1:${port}`) elsewhere.push(asked.url());
    });
    /** Waits until a part of the page says it. */
    const says = async (selector: string, text: RegExp): Promise<void> => {
      await page.locator(selector).filter({ hasText: text }).first().waitFor({ state: 'attached' });
      t.pass(`${selector}: ${text}`);
    };

    await page.goto(`http://127.0.0.1:${port}/`);
    await says('#headline', /^All is well$/);
    await says('#detail', /Nothing comes in/);
    await says('#live', /^live$/);
    t.equal(await page.locator('.plot canvas').count(), 3, 'three charts');

    for (let n = 0; n < 5; n++) await send(Array.from({ length: 200 }, (_each, i) => event(`${n}-${i}`)));
    await says('#door .big', /^[1-9][\d,.]* events\/s in$/);
    await says('#sink .big', /^[1-9][\d,.]* events\/s out$/);
    await says('#rates .value0', /^[1-9].* \/s$/);
    await says('#door dd', /\d ms$/);
    await says('#sum', /1,000 accepted = 1,000 delivered \+ 0 pending/);
    await says('#batches tr[data-stage=delivered] .number', /^[1-9]/);

    await send([event('fine'), event(HOSTILE(1), 'bad')]);
    await says('#headline', /^The sink refused 1 event for good$/);
    await says('#letters .reason', /^no <img src=x onerror=.*taken 2/);
    await page.locator('#letters summary').click();
    t.match(await page.locator('#letters .event').innerText(), /<img src=x onerror=.*taken 1/);
    await says('#batches .state', /^delivered, 1 dead letter$/);

    sink.fail(`down ${HOSTILE(3)}`);
    await send([event('waits')]);
    await says('#headline', /^The sink is down$/);
    await says('#sink.bottleneck[data-level=trouble] dd', /^(open|half-open)$/);
    await says('#breaker', /The breaker is (open|half-open)/);
    await says('#error', /^the sink answered 500: down <img src=x onerror=.*taken 3/);
    await says('#disk .big', /^1 event waits$/);
    t.match(await page.title(), /^● Forebay: The sink is down/);

    isDown = true;
    await server.stop('SIGKILL');
    await says('#stale', /What you see is \d+ s old/);
    t.equal(await page.locator('#stale').isVisible(), true);
    await says('#live', /^not live$/);
    t.match(await page.title(), /^\?/);

    sink.fail(null);
    server = new ServerProcess(['--port', String(port), ...flags]);
    await server.line(/IngestionServer started/);
    await says('#live', /^live$/);
    isDown = false;
    await says('#headline', /^All is well$/);
    t.equal(await page.locator('#stale').isVisible(), false);
    await says('#sum', /1 accepted = 1 delivered \+ 0 pending/);
    await says('#letters .reason', /^no <img/);

    t.equal(await page.locator('img').count(), 0, 'a text is a text');
    t.notMatch(await page.title(), /taken/);
    t.same(complaints, [], 'nothing in the console');
    t.same(elsewhere, [], 'nothing asked of another host');
    t.equal(
      await page.locator('body').evaluate((body) => body.scrollWidth),
      390,
      'nothing is wider than a phone',
    );
    await browser.close();
    t.equal(await server.stop('SIGTERM'), 0);
  },
);

void t.test(
  'in a browser: sources, what they refuse, and hostile events',
  { skip, timeout: 60_000 },
  async (t) => {
    const others = Array.from({ length: 28 }, (_each, n) => `partner-${n}`);
    const named = ['bank', ...others].map((name) => `--source=${name}=/in/${name},format=events`);
    const logDir = join(tempDir(t), 'log');
    named.push('--source=till=/in/till,format=events,id-window=1h');
    const bound = ['--id-window-max', '1'];
    const server = await ServerProcess.start('--log-dir', logDir, '--page', 'data', ...named, ...bound);
    const { port } = server;
    t.teardown(async () => server.stop('SIGKILL'));
    const post = async (path: string, body: string): Promise<number> => {
      const headers = { 'content-type': 'application/json' };
      const url = `http://127.0.0.1:${port}${path}`;
      const { statusCode, body: answer } = await request(url, { method: 'POST', headers, body });
      await answer.dump();
      return statusCode;
    };
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
    t.teardown(async () => browser.close());
    const page = await browser.newPage({ viewport: { width: 390, height: 844 } });
    const complaints: string[] = [];
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
    await page.goto(`http://127.0.0.1:${port}/`);
    const says = async (selector: string, pattern: RegExp): Promise<void> => {
      await page.locator(selector).filter({ hasText: pattern }).first().waitFor({ timeout: 10_000 });
      t.pass(`${selector} says ${pattern}`);
    };
    const row = (name: string): string => `#sources > li:has(b:text-is("${name}"))`;

    await says(`${row('events')} .latest`, /^nothing yet$/);
    t.equal(await page.locator('#sources > li').count(), 31);
    t.equal(await page.locator('#sources > li:visible').count(), 8, 'the first ones, and a button for more');
    await page.locator('#sources-all').click();
    t.equal(await page.locator('#sources > li:visible').count(), 31);
    t.equal(await page.locator('#sources-section.has-conflicts').count(), 0);
    await says('#sources-all', /^Show fewer$/);
    await page.locator('#sources-all').click();

    const hostile = { id: HOSTILE(1), type: HOSTILE(2).repeat(3), data: `${HOSTILE(3)}\u202e` };
    t.equal(await post('/events', JSON.stringify(hostile)), 202);
    t.equal(await post('/in/partner-27', '{"id":"x"}'), 400);
    t.equal(await post('/nowhere', '{}'), 404);
    await says(`${row('events')} .accepted`, /^1 accepted$/);
    await says(`${row('events')} .latest`, /^<img src=x onerror=.*taken 2/);
    await says('#sources > li:first-child b', /^partner-27$/);
    await says(`${row('partner-27')} .latest`, /^A field of the event is missing/);
    await says('#headline', /^The source partner-27 refuses all that it gets$/);
    await says('#stray', /: 1 × There is nothing at this path \(NOT_FOUND\)\.$/);
    await page.locator(`${row('events')} summary`).click();
    await page.locator(`${row('partner-27')} summary`).click();
    await says(`${row('events')} .id`, /^<img src=x onerror=.*taken 1/);
    await says(`${row('events')} .data`, /^"<img src=x onerror=.*taken 3/);
    await says(
      `${row('partner-27')} .reasons`,
      /^1 × A field .* \(EVENT_FIELD\), the last one (just now|\d+ s ago)$/,
    );
    await says(`${row('partner-27')} .none`, /^No event has come yet in this run\.$/);

    await page.locator('#sources-all').click();
    for (const data of ['1', '1', '2'])
      t.equal(await post('/in/till', `{"id":"sold","type":"t","data":${data}}`), 202);
    await says(`${row('till')} .accepted`, /^1 accepted$/);
    await says(`${row('till')} .duplicates`, /^2 duplicates$/);
    await says(`${row('till')} .conflicts`, /^1 conflict$/);
    await says('#sum', /^This run: 2 accepted = .*; beside these, not stored: 2 duplicates$/);
    await page.locator(`${row('till')} summary`).click();
    await says(
      `${row('till')} .window`,
      /^Ids are kept for 60 min; 1 is known now\. 1 of the duplicates was/,
    );
    t.equal(await page.locator('.is-short').count(), 0);
    t.equal(await post('/in/till', '{"id":"other","type":"t","data":1}'), 202);
    await says(
      `${row('till')}.is-short .window`,
      /^Ids are kept for [\d.]+ s, not 60 min, as there are more/,
    );

    t.equal(await page.locator('img').count(), 0, 'a text is a text');
    t.notMatch(await page.title(), /taken/);
    t.same(complaints, [], 'nothing in the console');
    for (const width of [390, 820, 1280]) {
      await page.setViewportSize({ width, height: 844 });
      const wide = await page.locator('body').evaluate((body) => body.scrollWidth);
      t.equal(wide, width, `nothing is wider than ${width} pixels`);
      t.equal(await page.locator(`${row('till')} .duplicates`).isVisible(), true, `${width}`);
      t.equal(await page.locator(`${row('events')} .duplicates`).isVisible(), false, 'it has no window');
    }
    await browser.close();
    t.equal(await server.stop('SIGTERM'), 0);
  },
);

void t.test('a page that stays open while its server is replaced is loaded anew', { skip }, async (t) => {
  const { forebay } = await startForebay(t);
  const browserDir = pathToFileURL(join(process.cwd(), 'dist/lib/observe/page/browser/'));
  const start = async (version: string, port: number): Promise<IngestionServer> => {
    const server = new IngestionServer({ forebay, port });
    server.addRoutes(pageRoutes({ forebay, door: server, version, browserDir }));
    await server.start();
    t.teardown(async () => server.stop(0));
    return server;
  };
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  t.teardown(async () => browser.close());
  const page = await browser.newPage();
  const first = await start('1', 0);
  const { port } = first;
  await page.goto(`http://127.0.0.1:${port}/`);
  await page.locator('#about').filter({ hasText: /^1 / }).waitFor();
  const loaded = once(page as unknown as NodeJS.EventEmitter, 'load');
  await first.stop(0);
  await start('2', port);
  await loaded;
  await page.locator('#about').filter({ hasText: /^2 / }).waitFor();
  t.pass('the new page');
});
