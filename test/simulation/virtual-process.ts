/**
 * Puts a virtual clock and a seeded generator under this whole process. Must run before the code under test is
 * loaded, because that code may keep references; hence the simulation imports it only afterwards.
 */
import { syncBuiltinESMExports } from 'node:module';
import timers from 'node:timers';
import timersPromises from 'node:timers/promises';
import zlib from 'node:zlib';
import type { ZlibOptions } from 'node:zlib';
import type { Random } from './random.js';
import type { Happening, VirtualTime } from './virtual-time.js';

export interface World {
  readonly time: VirtualTime;
  readonly random: Random;
}

const realSetImmediate = setImmediate;
const realNow = performance.now.bind(performance);
let world: World | null = null;

/** From now on this world's clock and dice hold. */
export function enterWorld(next: World): void {
  world = next;
}

/** Calls back when all microtasks and ticks are done. No real I/O runs here, so nothing else comes between. */
export function afterDrain(run: () => void): void {
  realSetImmediate(run);
}

/** Milliseconds of the real clock, for progress lines. */
export function realMs(): number {
  return realNow();
}

function current(): World {
  if (world === null) throw new Error('no world to be in');
  return world;
}

/** What `setTimeout` gives in Node.js, as far as anyone uses it. */
class VirtualTimer {
  #happening: Happening;
  #hasRef = true;
  readonly #delayMs: number;
  readonly #start: () => Happening;

  constructor(label: string, delayMs: number, repeat: boolean, run: () => void) {
    this.#delayMs = Math.max(1, Math.trunc(delayMs) || 1);
    const onTime = (): void => {
      if (repeat) this.#happening = this.#start();
      run();
    };
    this.#start = () => current().time.after(this.#delayMs, `${label} of ${this.#delayMs} ms`, onTime);
    this.#happening = this.#start();
  }

  close(): this {
    this.#happening.run = null;
    return this;
  }

  refresh(): this {
    this.#happening.run = null;
    this.#happening = this.#start();
    return this;
  }

  ref(): this {
    this.#hasRef = true;
    return this;
  }

  unref(): this {
    this.#hasRef = false;
    return this;
  }

  hasRef(): boolean {
    return this.#hasRef;
  }
}

function clear(timer: unknown): void {
  if (timer instanceof VirtualTimer) timer.close();
}

type Run = (...args: unknown[]) => void;

function sleep(
  delayMs: number = 1,
  value?: unknown,
  options: { signal?: AbortSignal } = {},
): Promise<unknown> {
  const { signal } = options;
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      timer.close();
      reject(
        Object.assign(new Error('The operation was aborted'), { name: 'AbortError', code: 'ABORT_ERR' }),
      );
    };
    if (signal?.aborted === true) {
      reject(
        Object.assign(new Error('The operation was aborted'), { name: 'AbortError', code: 'ABORT_ERR' }),
      );
      return;
    }
    const timer = new VirtualTimer('sleep', delayMs, false, () => {
      signal?.removeEventListener('abort', abort);
      resolve(value);
    });
    signal?.addEventListener('abort', abort, { once: true });
  });
}

/** A call that answers later, without a thread: when that would be done, nobody decides. */
function inTurn(
  now: (bytes: Buffer, options: ZlibOptions) => Buffer,
): (bytes: Buffer, options: ZlibOptions, done: (error: unknown, result?: Buffer) => void) => void {
  return (bytes, options, done) => {
    current().time.after(0.1 + current().random.next(), 'compression', () => {
      let result: Buffer;
      try {
        result = now(bytes, options);
      } catch (error) {
        done(error);
        return;
      }
      done(null, result);
    });
  };
}

/** Replaces every source of time and chance in this process. */
export function installVirtualProcess(): void {
  const globals: Record<string, unknown> = {
    setTimeout: (run: Run, delayMs: number = 1, ...args: unknown[]) =>
      new VirtualTimer('timer', delayMs, false, () => {
        run(...args);
      }),
    setInterval: (run: Run, delayMs: number = 1, ...args: unknown[]) =>
      new VirtualTimer('interval', delayMs, true, () => {
        run(...args);
      }),
    setImmediate: (run: Run, ...args: unknown[]) => {
      const happening = current().time.after(0, 'immediate', () => {
        run(...args);
      });
      return { happening, unref: () => undefined };
    },
    clearTimeout: clear,
    clearInterval: clear,
    clearImmediate: (immediate?: { happening: Happening }) => {
      if (immediate !== undefined) immediate.happening.run = null;
    },
  };
  Object.assign(globalThis, globals);
  Object.assign(timers, globals);
  Object.assign(timersPromises, { setTimeout: sleep });
  Object.assign(zlib, { gzip: inTurn(zlib.gzipSync), gunzip: inTurn(zlib.gunzipSync) });
  syncBuiltinESMExports();
  Date.now = () => Math.floor(current().time.wallMs);
  Object.defineProperty(performance, 'now', { value: () => current().time.nowMs });
  Math.random = () => current().random.next();
  Object.defineProperty(crypto, 'getRandomValues', {
    value: (bytes: Uint8Array) =>
      bytes.map((_byte, index) => (bytes[index] = current().random.whole(0, 255))),
  });
  // the lock file names the process: its bytes, and with them the run, must not differ from process to process
  Object.defineProperty(process, 'pid', { value: 4242 });
  // errors are part of the game here, and the stack of each one costs more than all else
  Error.stackTraceLimit = 0;
}
