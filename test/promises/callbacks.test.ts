/** What a program gives to Forebay and what throws: it reaches nobody else, and is never silent. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { createForebay, FileSink, IngestionServer, SinkError } from '../../lib/index.js';
import type { Forebay, ForebayOptions, Logger } from '../../lib/index.js';
import { EventBlock } from '../../lib/event/event-block.js';
import { Reporter } from '../../lib/base/reporter.js';
import { WaitingRequests } from '../../lib/intake/waiting-requests.js';
import { CollectingSink } from '../helpers/collecting-sink.js';
import { heldDisk } from '../helpers/held-disk.js';
import { clientsOf } from '../helpers/http-door.js';
import { tempDir } from '../helpers/temp-dir.js';
import { until } from '../helpers/wait-for.js';

const text = (id: string): string => `{"id":"${id}","type":"t","data":1,"timestamp":1}`;

async function start(t: Test, options: Partial<ForebayOptions> = {}): Promise<Forebay> {
  const sink = new CollectingSink();
  const forebay = createForebay({ batchWaitMs: 20, sink, logDir: tempDir(t), ...options });
  t.teardown(() => forebay.stop(0));
  await forebay.start();
  return forebay;
}

/** What ends as an uncaught exception of the process, as it comes. */
function uncaught(t: Test): string[] {
  const messages: string[] = [];
  process.setUncaughtExceptionCaptureCallback((error) => messages.push(error.message));
  t.teardown(() => {
    process.setUncaughtExceptionCaptureCallback(null);
  });
  return messages;
}

/** Answers that throw, each with its name, and how often each was called. */
function throwing(): { calls: string[]; answer: (name: string) => () => never } {
  const calls: string[] = [];
  const answer = (name: string) => (): never => {
    calls.push(name);
    throw new Error(`answer ${name}`);
  };
  return { calls, answer };
}

void t.test('an answer that throws is called once, and no other request hears of it', async (t) => {
  const messages = uncaught(t);
  const { calls, answer } = throwing();
  const disk = heldDisk();
  const forebay = await start(t, { fs: disk.fs });
  const told: unknown[] = [];
  const round = async (): Promise<void> => {
    forebay.take(EventBlock.of(text('a')), answer('first'));
    forebay.take(EventBlock.of(text('b')), (error) => told.push(error));
    forebay.take(EventBlock.of(text('c'), text('d')), answer('last'));
    await until(() => told.length > 0 && messages.length === 2, 'both are told, and both throws are seen');
  };
  await round();
  t.same([calls, told, messages], [['first', 'last'], [null], ['answer first', 'answer last']]);
  for (const list of [calls, told, messages]) list.length = 0;
  disk.fail('write', 'EIO');
  await round();
  t.match([calls, told, messages], [['first', 'last'], [{ code: 'LOG_FAILED' }], { length: 2 }]);
  disk.fail('write', null);
  await forebay.write(text('e'));
  await until(() => forebay.counts().pending === 0, 'all is delivered');
  await forebay.stop();
  for (const list of [calls, messages]) list.length = 0;
  t.doesNotThrow(() => {
    forebay.take(EventBlock.of(text('f')), answer('late'));
  }, 'it ends in the same way, whenever the answer comes');
  await until(() => messages.length > 0, 'the throw is seen');
  t.same([calls, messages], [['late'], ['answer late']]);
  t.ok(forebay.healthy);
  t.match(forebay.counts(), { accepted: 5, delivered: 5, pending: 0 });
});

void t.test('nor where its request has waited too long', async (t) => {
  const messages = uncaught(t);
  const { calls, answer } = throwing();
  const waiting = new WaitingRequests(20, new Reporter());
  const told: (Error | null)[] = [];
  const requests = ['a', 'b'].map((name) => waiting.add(EventBlock.of('x'), answer(name)));
  requests.push(waiting.add(EventBlock.of('x'), (error) => told.push(error)));
  await until(() => told.length > 0, 'each is answered');
  for (const request of requests) request.acknowledge(0, 1, null);
  await until(() => messages.length === 2, 'both throws are seen');
  t.match([calls, told, messages], [['a', 'b'], [{ code: 'IN_DOUBT' }], ['answer a', 'answer b']]);
  t.equal(waiting.overdue, 0);
  waiting.close();
});

void t.test('a logger that throws stops nothing, and is told as a warning of the process', async (t) => {
  const warnings: (Error & { code?: string })[] = [];
  const listen = (warning: Error): void => void warnings.push(warning);
  process.on('warning', listen);
  t.teardown(() => process.off('warning', listen));
  const say = (): never => {
    throw new Error('the disk of the log is full');
  };
  const logger: Logger = { debug: say, info: say, warn: say, error: say };
  const dir = tempDir(t);
  let offers = 0;
  const sink = new CollectingSink();
  const inFile = await FileSink.open(join(dir, 'out.jsonl'), { logger });
  rmSync(join(dir, 'out.jsonl')); // it says so
  const picky = {
    async deliver(...offer: Parameters<FileSink['deliver']>): Promise<void> {
      if (offers++ < 2) throw new Error('not now');
      if (offer[0].bytes.includes('"bad"')) throw new SinkError('never', { refused: 'all' });
      await sink.deliver(...offer);
      await inFile.deliver(...offer);
    },
    close: () => inFile.close(),
  };
  const disk = heldDisk();
  const forebay = await start(t, { sink: picky, logger, fs: disk.fs, logDir: join(dir, 'log') });
  const server = new IngestionServer({ forebay, port: 0, accessLog: 1, logger });
  await server.start();
  t.teardown(() => server.stop(0));
  const { post } = clientsOf(t, server.port, 1);
  t.match(await post(text('a')), { status: 202 });
  disk.fail('write', 'EIO');
  t.match(await post(text('b')), { status: 503, code: 'LOG_FAILED' });
  disk.fail('write', null);
  for (const id of ['c', 'bad', 'd']) t.match(await post(text(id)), { status: 202 });
  await until(() => forebay.counts().pending === 0, 'all are delivered');
  await forebay.stop();
  t.ok(forebay.healthy);
  t.match(forebay.counts(), { accepted: 4, delivered: 3, deadLettered: 1, pending: 0 });
  await until(() => warnings.length > 0, 'the process is warned');
  t.equal(warnings.length, 3, 'once for each that writes: the pipeline, the door and the sink');
  t.match(warnings[0], {
    code: 'LOGGER_FAILED',
    message: /could not be logged.*the disk of the log is full/,
  });
});

void t.test('what is no logger, and what is no event, is named', async (t) => {
  const sink = new CollectingSink();
  const logger = { info: () => undefined } as unknown as Logger;
  const message = 'logger must have the methods debug, info, warn and error; debug is missing';
  t.throws(() => createForebay({ sink, logger }), { code: 'SETTING_INVALID', message });
  t.throws(() => createForebay({ sink, logger: null as unknown as Logger }), { code: 'SETTING_INVALID' });
  const forebay = await start(t);
  const circle: Record<string, unknown> = { id: 'a', type: 't' };
  circle['data'] = circle;
  const cases: [what: unknown, message: RegExp, code?: string][] = [
    [undefined, /must be an object or its JSON text, not undefined/],
    [() => 1, /not a function/],
    [Symbol('x'), /not a symbol/],
    [12n, /has no JSON: .*BigInt/, 'EVENT_NOT_JSON'],
    [{ toJSON: () => undefined }, /has no JSON/],
    [{ id: 'a', type: 't', data: 1n }, /has no JSON: .*BigInt/, 'EVENT_NOT_JSON'],
    [circle, /has no JSON: .*circular/, 'EVENT_NOT_JSON'],
    [
      {
        toJSON() {
          throw new Error('mine');
        },
      },
      /has no JSON: mine/,
      'EVENT_NOT_JSON',
    ],
  ];
  for (const [what, expected, code = 'EVENT_NOT_OBJECT'] of cases)
    await t.rejects(forebay.write(what as string), { name: 'ForebayError', code, message: expected });
  for (const what of [null, 1, true, []])
    await t.rejects(forebay.write(what as unknown as string), {
      code: 'EVENT_NOT_OBJECT',
      message: /must be a JSON object/,
    });
});

void t.test('a sink that throws anything at all has failed, and gets the batch again', async (t) => {
  const odd = {
    undefined: undefined,
    null: null,
    zero: 0,
    'a symbol': Symbol('x'),
    'no object of any kind': Object.create(null) as unknown,
    'a message that is no text': Object.assign(new Error('x'), { message: 42 }),
    'no message': Object.assign(new Error('x'), { message: undefined, stack: undefined }),
    'a name and a stack that are no text': Object.assign(new Error('x'), { name: Symbol('y'), stack: 1 }),
    'a message that throws': Object.defineProperty(new Error('x'), 'message', {
      get() {
        throw new Error('again');
      },
    }),
  };
  for (const [name, thrown] of Object.entries(odd)) {
    for (const inPromise of [false, true]) {
      const sink = new CollectingSink();
      let offers = 0;
      const deliver = (...offer: Parameters<CollectingSink['deliver']>): Promise<void> => {
        if (offers++ > 0) return sink.deliver(...offer);
        if (inPromise) return Promise.resolve().then(() => Promise.reject(thrown as Error));
        throw thrown;
      };
      const forebay = await start(t, { sink: { deliver }, batchWaitMs: 1 });
      await forebay.write(text('a'));
      await until(() => forebay.counts().pending === 0 || !forebay.healthy, `${name}: it is delivered`);
      t.ok(forebay.healthy, name);
      t.match(forebay.counts(), { delivered: 1 }, name);
      t.equal(offers, 2);
      await forebay.stop();
    }
  }
});
