import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '../../lib/base/reporter.js';
import { lineOf } from '../../lib/keys/key-line.js';
import type { KeyLine } from '../../lib/keys/key-line.js';
import { Keys } from '../../lib/keys/keys.js';
import { digestOf, newKey } from '../../lib/keys/secret.js';
import { tempDir } from './temp-dir.js';
import type { Scope } from './temp-dir.js';

/** A key, and its line of the file. */
export interface Made {
  readonly key: string;
  readonly line: string;
}

export function madeKey(name: string, more: Partial<Omit<KeyLine, 'name' | 'number'>> = {}): Made {
  const key = newKey();
  const none = { created: null, expires: null, sources: null, eventsPerSecond: null, bytesPerSecond: null };
  return { key, line: lineOf({ name, hash: digestOf(key).toString('hex'), ...none, ...more }) };
}

/** A keys file that goes with the test, and what a server knows of it. */
export interface OpenKeys {
  readonly keys: Keys;
  /** Replaces the content, and has it read. */
  readonly change: (text: string) => Promise<void>;
}

export function openKeys(t: Scope, lines: readonly string[], logger?: Logger): OpenKeys {
  const path = join(tempDir(t), 'keys.jsonl');
  writeFileSync(path, lines.join(''));
  const keys = new Keys(path, logger);
  t.teardown(() => {
    keys.close();
  });
  const change = async (text: string): Promise<void> => {
    writeFileSync(path, text);
    await keys.refresh();
  };
  return { keys, change };
}

export function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}
