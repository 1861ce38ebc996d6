import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { chromium } from 'playwright-core';
import type { Page } from 'playwright-core';
import t from 'tap';
import type { Test } from 'tap';
import { Authority, noOpenssl, PairFiles } from '../helpers/certificates.js';
import { madeKey, openKeys } from '../helpers/keys-file.js';
import { event, hasTaken, ids, openRaw, whole } from '../helpers/raw-door.js';
import type { Door } from '../helpers/raw-door.js';
import { until } from '../helpers/wait-for.js';

const CHROMIUM = '/usr/bin/chromium';
const skip = existsSync(CHROMIUM) ? false : `${CHROMIUM} is not installed`;

/** What a page sends, and how. */
interface Sending {
  readonly url: string;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly mode?: 'cors' | 'no-cors';
}

/** What the page can read of the answer. */
interface Read {
  readonly status: number;
  readonly retryAfter: string | null;
  readonly requestId: string | null;
  readonly code: unknown;
}

/** A web server with an empty page. @returns its port */
async function site(t: Test): Promise<number> {
  const server = createServer((_req, res) =>
    res.setHeader('content-type', 'text/html').end('<title>a</title>'),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

const JSON_TYPE = { 'content-type': 'application/json' };

/** Posts with `fetch`, in the page. @returns `null` if the browser keeps the answer from the page, or did not send */
async function fetched(page: Page, sending: Sending): Promise<Read | null> {
  return page.evaluate(async ({ url, text, headers = {}, mode = 'cors' }) => {
    try {
      const answer = await fetch(url, { method: 'POST', headers, body: text, mode });
      const { code = null } = (await answer.json().catch(() => ({}))) as { code?: unknown };
      const { status } = answer;
      const header = (name: string): string | null => answer.headers.get(name);
      return { status, retryAfter: header('retry-after'), requestId: header('x-request-id'), code };
    } catch {
      return null;
    }
  }, sending);
}

/** Sends a beacon, as a string or as a `Blob` of a type. */
async function beacon(page: Page, url: string, text: string, type: string | null): Promise<void> {
  const [to, body, kind] = [url, text, { type }].map((each) => JSON.stringify(each));
  const what = type === null ? body : `new Blob([${body}], ${kind})`;
  const isQueued = await page.evaluate(`navigator.sendBeacon(${to}, ${what})`);
  if (isQueued !== true) throw new Error('the browser takes no beacon');
}

/** How many requests of web pages were refused. */
function foreign({ server }: Door): number {
  return server.counts.refusedFor('ORIGIN_NOT_ALLOWED');
}

for (const how of ['plain', 'with TLS']) {
  void t.test(
    `a browser, ${how}`,
    { skip: skip || (how === 'plain' ? false : noOpenssl), timeout: 110_000 },
    async (t) => {
      const [home, elsewhere] = [await site(t), await site(t)];
      const files = how === 'plain' ? null : new PairFiles(t, new Authority(t).issue());
      const door = await openRaw(t, {
        corsOrigins: [`http://127.0.0.1:${home}`],
        queueSize: 1,
        ...files?.settings,
      });
      const url = `${files === null ? 'http' : 'https'}://127.0.0.1:${door.server.port}/events`;
      const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
      t.teardown(async () => browser.close());
      const context = await browser.newContext({ ignoreHTTPSErrors: true });
      const open = async (address: string): Promise<Page> => {
        const page = await context.newPage();
        await page.goto(address);
        return page;
      };
      const page = await open(`http://127.0.0.1:${home}/`);
      const arrived = async (...all: string[]): Promise<void> =>
        until(() => ids(door.sink.lines).length === all.length, `${all.at(-1)} arrives`, 20_000);

      t.match(await fetched(page, { url, text: event('json'), headers: JSON_TYPE }), {
        status: 202,
        requestId: /./,
      });
      const headers = { ...JSON_TYPE, authorization: 'Bearer key', 'x-request-id': 'mine' };
      t.match(await fetched(page, { url, text: event('key'), headers }), { status: 202, requestId: 'mine' });
      const attributes = { 'ce-specversion': '1.0', 'ce-id': 'cloud', 'ce-type': 't', 'ce-source': '/page' };
      t.match(await fetched(page, { url, text: '1', headers: { ...JSON_TYPE, ...attributes } }), {
        status: 202,
      });
      t.match(await fetched(page, { url, text: event('text') }), { status: 202 }, 'text/plain');
      t.match(await fetched(page, { url, text: '{"id":1}', headers: JSON_TYPE }), {
        status: 400,
        code: 'EVENT_FIELD',
      });
      t.equal(
        await fetched(page, { url, text: event('x'), headers: { 'x-other': '1' } }),
        null,
        'a header that is not allowed',
      );
      await arrived('json', 'key', 'cloud', 'text');
      await beacon(page, url, event('beacon'), null);
      await arrived('json', 'key', 'cloud', 'text', 'beacon');
      await beacon(page, url, event('blob'), 'application/json');
      await arrived('json', 'key', 'cloud', 'text', 'beacon', 'blob');

      const stranger = await open(`http://localhost:${elsewhere}/`);
      t.equal(await fetched(stranger, { url, text: event('x'), headers: JSON_TYPE }), null);
      t.equal(foreign(door), 0, 'the browser asks first, and does not send');
      t.equal(await fetched(stranger, { url, text: event('x') }), null);
      t.equal(foreign(door), 1);
      t.match(
        await fetched(stranger, { url, text: event('x'), mode: 'no-cors' }),
        { status: 0 },
        'it is not shown',
      );
      t.equal(foreign(door), 2);
      await beacon(stranger, url, event('x'), null);
      await until(() => foreign(door) === 3, 'the beacon is refused');
      await beacon(stranger, url, event('x'), 'application/json');
      await beacon(stranger, url, event('x'), null);
      await until(() => foreign(door) === 4, 'the one after it, too');

      door.disk.hold();
      const first = await door.connect();
      await first.send(whole(event('first')));
      await until(() => door.forebay.statistics()?.queuedEvents === 1, 'the queue is full');
      const full = await fetched(page, { url, text: event('x'), headers: JSON_TYPE });
      t.match(full, { status: 429, retryAfter: /^[1-9]\d*$/, requestId: /./ });
      door.disk.release();
      t.equal((await first.answer()).status, 202);
      await hasTaken(t, door, ['json', 'key', 'cloud', 'text', 'beacon', 'blob', 'first']);

      const { key, line } = madeKey('page');
      const locked = await openRaw(t, {
        corsOrigins: [`http://127.0.0.1:${home}`],
        keys: openKeys(t, [line]).keys,
        ...files?.settings,
      });
      const lockedUrl = url.replace(`:${door.server.port}/`, `:${locked.server.port}/`);
      const withKey = { ...JSON_TYPE, authorization: `Bearer ${key}` };
      t.match(await fetched(page, { url: lockedUrl, text: event('a'), headers: withKey }), { status: 202 });
      const none = await fetched(page, { url: lockedUrl, text: event('x'), headers: JSON_TYPE });
      t.match(none, { status: 401 }, 'the preflight needs none, and the page can read the refusal');
      await browser.close();
    },
  );
}
