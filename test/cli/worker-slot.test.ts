import cluster from 'node:cluster';
import { EventEmitter } from 'node:events';
import t from 'tap';
import type { Test } from 'tap';
import { WorkerSlot } from '../../lib/cli/workers/worker-slot.js';

const COUNTS = { accepted: 1, delivered: 1, pending: 0 };
const TASK = { workers: 1, port: 1, adminPort: null, isRestart: false };

/** What a process has of a worker, without one. */
class FakeWorker extends EventEmitter {
  readonly process: { readonly pid: number | undefined };
  readonly sent: string[] = [];
  readonly #written: (() => void)[] = [];

  constructor(pid: number | undefined) {
    super();
    this.process = { pid };
  }

  isOpen = true;

  isConnected(): boolean {
    return this.isOpen;
  }

  send({ kind }: { readonly kind: string }, written: () => void): void {
    this.sent.push(kind);
    this.#written.push(written);
  }

  /** The process reads all that was sent. */
  read(): void {
    for (const written of this.#written.splice(0)) written();
  }
}

function slotOf(t: Test, fork: () => FakeWorker): { readonly slot: WorkerSlot; readonly ends: string[] } {
  t.intercept(cluster, 'fork', { value: fork });
  const ends: string[] = [];
  const nothing = (): void => undefined;
  const slot = new WorkerSlot(1, {
    listening: nothing,
    reporting: nothing,
    reached: nothing,
    held: nothing,
    asks: nothing,
    paused: () => null,
    ended: (_slot, { how }) => void ends.push(how),
  });
  return { slot, ends };
}

void t.test('a worker that the system starts no process for has ended, whatever way it says so', (t) => {
  const thrown = slotOf(t, () => {
    throw new Error('spawn ENOMEM');
  });
  thrown.slot.start(TASK);
  t.match(thrown.ends, [/no process .*ENOMEM/]);
  t.notOk(thrown.slot.isRunning);
  const worker = new FakeWorker(undefined);
  const later = slotOf(t, () => worker);
  later.slot.start(TASK);
  worker.emit('error', new Error('spawn EAGAIN'));
  worker.emit('exit', null, 'SIGKILL');
  t.match(later.ends, [/no process .*EAGAIN/], 'once');
  t.notOk(later.slot.isRunning);
  t.equal(later.slot.state, 'down');
  t.end();
});

void t.test('of a worker that reads nothing memory holds some messages, and the one to stop', (t) => {
  const worker = new FakeWorker(1);
  const { slot, ends } = slotOf(t, () => worker);
  slot.start(TASK);
  worker.emit('error', new Error('write EPIPE'));
  t.same(ends, [], 'a message that could not be sent ends nothing');
  for (let n = 0; n < 1000; n++) slot.tell({ kind: 'page', text: 'x' });
  t.equal(worker.sent.length, 100);
  slot.tell({ kind: 'stop' });
  t.equal(worker.sent.at(-1), 'stop');
  worker.read();
  slot.tell({ kind: 'reload' });
  t.equal(worker.sent.at(-1), 'reload', 'once it reads again it hears all');
  t.end();
});

void t.test('what a worker said at its end is heard, also if the system tells its end first', (t) => {
  const worker = new FakeWorker(1);
  const { slot, ends } = slotOf(t, () => worker);
  slot.start(TASK);
  worker.emit('exit', 0, null);
  t.same(ends, []);
  worker.emit('message', { kind: 'stopped', counts: COUNTS });
  worker.isOpen = false;
  worker.emit('disconnect');
  t.same(ends, ['exit code 0']);
  t.equal(slot.state, 'stopped');
  t.equal(slot.stoppedWith, COUNTS);
  slot.start(TASK);
  worker.emit('exit', null, 'SIGKILL');
  t.same(ends, ['exit code 0', 'SIGKILL'], 'at once if nothing can come');
  t.end();
});
