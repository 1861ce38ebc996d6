import { cpSync } from 'node:fs';
import t from 'tap';
import type { Test } from 'tap';
import { EventBlock } from '../../lib/event/event-block.js';
import { contentOfText } from '../../lib/event/event-ids.js';
import type { EventIds } from '../../lib/event/event-ids.js';
import type { Forebay } from '../../lib/forebay.js';
import { heldDisk } from '../helpers/held-disk.js';
import { batchFiles, memoryDir } from '../helpers/left-files.js';
import {
  addsUp,
  buildForebay,
  codeOf,
  eventText,
  idsOf,
  startForebay,
  until,
} from '../helpers/running-forebay.js';
import type { RunningForebay, RunningOptions } from '../helpers/running-forebay.js';
import { tempDir } from '../helpers/temp-dir.js';

const HOUR_MS = 3_600_000;

async function start(t: Test, options: RunningOptions = {}): Promise<RunningForebay> {
  return startForebay(t, { idWindowMs: HOUR_MS, ...options });
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate);
}

/** Sends events of one request; resolves to its ids, with what was found in the window. */
async function send(
  forebay: Forebay,
  texts: readonly string[],
  {
    source = 'events',
    holder = null,
    key = null,
  }: Partial<Record<'source' | 'holder' | 'key', string | null>> = {},
): Promise<EventIds> {
  const block = EventBlock.of(...texts);
  const ids = forebay.idsFor(source ?? '', holder, key);
  if (ids === null) throw new Error('the source has no window');
  for (const text of texts) ids.addText((JSON.parse(text) as { id: string }).id, contentOfText(text));
  block.ids = ids;
  await new Promise<void>((resolve, reject) => {
    forebay.take(block, (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
  return ids;
}

async function stored(running: RunningForebay, events: number): Promise<readonly string[]> {
  const { forebay, sink } = running;
  await until(() => forebay.counts().pending === 0 && sink.lines.length >= events, 'all is delivered');
  addsUp(t, forebay);
  return idsOf(sink.lines);
}

void t.test('an event whose id is on disk is not stored again', async (t) => {
  const running = await start(t);
  const { forebay } = running;
  t.same(await forebay.write(eventText('a')), { duplicate: false });
  t.same(await forebay.write(eventText('a')), { duplicate: true });
  t.same(await forebay.write({ id: 'a', type: 't', data: 1, timestamp: 1 }), { duplicate: true });
  t.same(await forebay.write(eventText('b')), { duplicate: false });
  t.same(await stored(running, 2), ['a', 'b']);
  t.same(await forebay.write(eventText('a')), { duplicate: true }, 'nor once its file is gone');
  t.match(forebay.idUsage(), [
    { source: 'events', ids: 2, duplicates: 3, conflicts: 0, windowSeconds: 3600 },
  ]);
  t.equal(forebay.counts().accepted, 2);
});

void t.test('without a window each is stored', async (t) => {
  const running = await startForebay(t, {});
  for (let times = 0; times < 2; times++)
    t.same(await running.forebay.write(eventText('a')), { duplicate: false });
  t.same(await stored(running, 2), ['a', 'a']);
  t.same(running.forebay.idUsage(), []);
});

void t.test('a twin waits for the first, and gets the same answer', async (t) => {
  const disk = heldDisk();
  const running = await start(t, { fs: disk.fs });
  const { forebay } = running;
  disk.hold();
  const answers: unknown[] = [];
  const write = (id: string): void =>
    void forebay.write(eventText(id)).then(
      ({ duplicate }) => answers.push(duplicate),
      (error: unknown) => answers.push((error as { code: string }).code),
    );
  for (const id of ['a', 'a', 'a']) write(id);
  await turns();
  t.same(answers, [], 'no answer before the flush');
  disk.release();
  await until(() => answers.length === 3, 'all are answered');
  t.same(answers, [false, true, true]);
  disk.fail('write', 'ENOSPC');
  for (const id of ['b', 'b']) write(id);
  await until(() => answers.length === 5, 'both have failed');
  t.same(answers.slice(3), ['LOG_FAILED', 'LOG_FAILED']);
  disk.fail('write', null);
  await until(async () => (await codeOf(forebay.write(eventText('probe')))) === null, 'the disk works');
  t.same(await forebay.write(eventText('b')), { duplicate: false }, 'and may be sent again');
  t.same(
    (await stored(running, 3)).filter((id) => id !== 'probe'),
    ['a', 'b'],
  );
});

void t.test('what a twin brings besides is stored, and its answer is that of both', async (t) => {
  const disk = heldDisk();
  const running = await start(t, { fs: disk.fs });
  const { forebay } = running;
  disk.hold();
  const first = send(forebay, [eventText('a'), eventText('b')]);
  await turns();
  let isAnswered = false;
  const second = send(forebay, [eventText('b'), eventText('c')]).finally(() => (isAnswered = true));
  await turns();
  t.notOk(isAnswered);
  disk.release();
  t.equal((await first).duplicates, 0);
  t.equal((await second).duplicates, 1);
  t.same(await stored(running, 3), ['a', 'b', 'c']);
});

void t.test('a twin of an event in its own request is stored once', async (t) => {
  const running = await start(t);
  const ids = await send(running.forebay, [eventText('a'), eventText('b'), eventText('a')]);
  t.equal(ids.duplicates, 1);
  t.same(
    [0, 1, 2].map((index) => ids.findingOf(index)),
    ['new', 'new', 'duplicate'],
  );
  t.same(await stored(running, 2), ['a', 'b']);
});

void t.test('after a time-out an id is known once its event is on disk, and not before', async (t) => {
  const disk = heldDisk();
  const running = await start(t, { fs: disk.fs, logDir: memoryDir(t), ackTimeoutMs: 300 });
  const { forebay } = running;
  disk.hold();
  const first = codeOf(forebay.write(eventText('a')));
  await turns();
  const behind = codeOf(forebay.write(eventText('b'))); // in the queue behind it
  const twin = codeOf(forebay.write(eventText('a')));
  t.same(await Promise.all([first, behind, twin]), ['IN_DOUBT', 'IN_DOUBT', 'IN_DOUBT']);
  t.equal(await codeOf(forebay.write(eventText('a'))), 'IN_DOUBT', 'at once: nobody knows yet');
  disk.release();
  await until(async () => (await codeOf(forebay.write(eventText('probe')))) === null, 'the disk works');
  t.same(await forebay.write(eventText('a')), { duplicate: true }, 'it came to the disk after all');
  t.same(await forebay.write(eventText('b')), { duplicate: false }, 'it was withdrawn');
  t.same((await stored(running, 3)).filter((id) => id !== 'probe').toSorted(), ['a', 'b']);
});

void t.test('an event that is refused before it is queued is not remembered', async (t) => {
  const disk = heldDisk();
  const running = await start(t, { fs: disk.fs, queueSize: 1, clientShare: 1 });
  const { forebay } = running;
  disk.hold();
  const first = forebay.write(eventText('a'));
  await turns();
  t.equal(await codeOf(forebay.write(eventText('b'))), 'QUEUE_FULL');
  disk.release();
  await first;
  await turns();
  t.same(await forebay.write(eventText('b')), { duplicate: false });
  t.same(await stored(running, 2), ['a', 'b']);
});

void t.test('other content under the same id is a duplicate as well, counted and reported', async (t) => {
  const running = await start(t);
  const { forebay, said } = running;
  await forebay.write(eventText('a', 1));
  for (let data = 2; data < 5; data++) t.same(await forebay.write(eventText('a', data)), { duplicate: true });
  t.match(forebay.idUsage(), [{ duplicates: 3, conflicts: 3 }]);
  const warnings = said.filter(({ text }) => text.includes('id of another event'));
  t.match(warnings, [{ level: 'warn', text: /events: 1 event .*"a"/ }], 'once a minute, without the content');
  t.same(await stored(running, 1), ['a']);
});

void t.test('or it is refused, and nothing of its request is stored', async (t) => {
  const disk = heldDisk();
  const running = await start(t, { idConflict: 'reject', fs: disk.fs });
  const { forebay } = running;
  await forebay.write(eventText('a', 1));
  await t.rejects(forebay.write(eventText('a', 2)), { code: 'ID_CONFLICT', field: 'id', status: 409 });
  await t.rejects(send(forebay, [eventText('b'), eventText('a', 2)]), { code: 'ID_CONFLICT', index: 1 });
  t.same(await forebay.write(eventText('a', 1)), { duplicate: true });
  t.same(await forebay.write(eventText('b')), { duplicate: false }, 'b was not stored');
  disk.hold();
  const first = codeOf(forebay.write(eventText('c', 1)));
  const other = codeOf(forebay.write(eventText('c', 2)));
  await turns();
  disk.release();
  t.same(await Promise.all([first, other]), [null, 'ID_CONFLICT'], 'also while the first is on its way');
  disk.fail('write', 'ENOSPC');
  const failed = [codeOf(forebay.write(eventText('d', 1))), codeOf(forebay.write(eventText('d', 2)))];
  t.same(await Promise.all(failed), ['LOG_FAILED', 'LOG_FAILED'], 'which may fail: then no one is to blame');
});

void t.test('nobody swallows the events of another source, or of another holder of a key', async (t) => {
  const rule = { windowMs: HOUR_MS, conflict: 'accept' } as const;
  const running = await start(t, {
    idRules: [
      { source: 'events', ...rule },
      { source: 'github', ...rule },
    ],
  });
  const { forebay } = running;
  const texts = [eventText('a')];
  const senders = [
    {},
    { source: 'github' },
    { holder: 'meter' },
    { holder: 'shop' },
    { source: 'github', holder: 'shop' },
  ];
  for (const sender of senders) t.equal((await send(forebay, texts, sender)).duplicates, 0);
  for (const sender of senders) t.equal((await send(forebay, texts, sender)).duplicates, 1);
  t.same(await stored(running, 5), ['a', 'a', 'a', 'a', 'a']);
  t.match(forebay.idUsage(), [{ ids: 3 }, { ids: 2 }]);
});

void t.test('a key of a request takes the place of the ids of its events', async (t) => {
  const running = await start(t);
  const { forebay } = running;
  const texts = [eventText('x', 1), eventText('x', 2)];
  t.equal((await send(forebay, texts, { key: 'k1' })).duplicates, 0, 'though their ids are the same');
  const again = await send(forebay, texts, { key: 'k1' });
  t.same([again.duplicates, again.duplicatesSaid], [2, 0], 'the answer is that of the first');
  const codes = [
    codeOf(send(forebay, [eventText('x', 1), eventText('x', 3)], { key: 'k1' })),
    codeOf(send(forebay, texts.slice(0, 1), { key: 'k1' })),
    codeOf(send(forebay, [...texts, eventText('y')], { key: 'k1' })),
  ];
  t.same(await Promise.all(codes), [
    'IDEMPOTENCY_KEY_REUSED',
    'IDEMPOTENCY_KEY_REUSED',
    'IDEMPOTENCY_KEY_REUSED',
  ]);
  t.equal((await send(forebay, texts, { key: 'k2' })).duplicates, 0);
  t.equal((await send(forebay, texts, { key: 'k1', holder: 'shop' })).duplicates, 0, 'of someone else');
  t.equal((await send(forebay, [eventText('k1')])).duplicates, 0, 'a key is no id');
  t.same((await stored(running, 7)).length, 7);
});

void t.test('ids outlive a stop, a kill, and their batch files', async (t) => {
  const first = await start(t);
  await first.forebay.write(eventText('a'));
  await stored(first, 1);
  t.same(batchFiles(first.dir), []);
  first.sink.held = true;
  await first.forebay.write(eventText('b'));
  const { dir } = first;
  const killed = tempDir(t);
  cpSync(dir, killed, { recursive: true });
  const wrote = (): number => first.said.filter(({ text }) => text.startsWith('Wrote batch')).length;
  await until(() => wrote() === 2, 'b is sealed');
  const sealed = tempDir(t);
  cpSync(dir, sealed, { recursive: true });
  first.sink.release();
  await first.forebay.stop();
  for (const [what, logDir] of Object.entries({ killed, sealed, dir })) {
    const next = await start(t, { logDir });
    for (const id of ['a', 'b'])
      t.same(await next.forebay.write(eventText(id)), { duplicate: true }, `${id}, ${what}`);
    t.same(await next.forebay.write(eventText('a', 2)), { duplicate: true });
    t.match(next.forebay.idUsage(), [{ ids: 2, conflicts: 1 }], 'its content is known, too');
    await next.forebay.stop();
  }
});

void t.test('an id is forgotten when the window is over, also by a restart', async (t) => {
  let laterMs = 0;
  const now = Date.now.bind(Date);
  t.intercept(Date, 'now', { value: () => now() + laterMs });
  const first = await start(t, { idWindowMs: 60_000 });
  await first.forebay.write(eventText('a'));
  laterMs = 58_000;
  t.same(await first.forebay.write(eventText('a')), { duplicate: true });
  laterMs = 61_000;
  t.same(await first.forebay.write(eventText('a')), { duplicate: false });
  await first.forebay.stop();
  laterMs = 118_000;
  const next = await start(t, { logDir: first.dir, idWindowMs: 60_000 });
  t.same(await next.forebay.write(eventText('a')), { duplicate: true });
  await next.forebay.stop();
  laterMs = 200_000;
  const last = await start(t, { logDir: first.dir, idWindowMs: 60_000 });
  t.same(await last.forebay.write(eventText('a')), { duplicate: false });
});

void t.test('with more ids than memory may hold, the oldest are forgotten, and that is said', async (t) => {
  const running = await start(t, { idWindowMax: 10 });
  const { forebay, said } = running;
  for (let n = 0; n < 20; n++) await forebay.write(eventText(`e${n}`));
  t.same(await forebay.write(eventText('e19')), { duplicate: true });
  t.same(await forebay.write(eventText('e0')), { duplicate: false });
  const [usage] = forebay.idUsage();
  t.match(usage, { ids: 10, windowSeconds: 3600 });
  t.ok((usage?.effectiveSeconds ?? Infinity) < 60);
  t.match(
    said.filter(({ text }) => text.includes('--id-window-max')),
    [{ level: 'warn' }],
  );
});

void t.test('two sources with the same number in the marks of lines stop the start', async (t) => {
  const rule = { windowMs: HOUR_MS, conflict: 'accept' } as const;
  const idRules = ['s8419', 's9071'].map((source) => ({ source, ...rule }));
  const { forebay } = buildForebay(t, { idRules });
  await t.rejects(forebay.start(), { code: 'SETTING_INVALID', message: /s8419 and s9071/ });
});

void t.test('twins that wait take no more room than the queue has', async (t) => {
  const disk = heldDisk();
  const running = await start(t, { fs: disk.fs, queueBytes: 20_000, clientShare: 1 });
  const { forebay } = running;
  disk.hold();
  const text = eventText('a', 'x'.repeat(2000));
  const answers = Array.from({ length: 40 }, async () => codeOf(forebay.write(text)));
  await turns();
  disk.release();
  const codes = await Promise.all(answers);
  const taken = codes.filter((code) => code === null).length;
  t.ok(taken > 4 && taken < 11, `${taken} waited`);
  t.same(new Set(codes), new Set([null, 'QUEUE_FULL']));
  t.same(await forebay.write(text), { duplicate: true }, 'and there is room again');
  t.same(await stored(running, 1), ['a']);
});
