import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Test } from 'tap';
import type { OptionTable } from '../../lib/settings/option-table.js';
import type { Output } from '../../tools/log/output.js';
import { runTool } from '../../tools/log/program.js';
import type { Tool } from '../../tools/log/program.js';
import { toolFileSystem } from '../../tools/log/tool-file-system.js';
import type { ToolFileSystem } from '../../tools/log/tool-file-system.js';

/** How a tool ended, and what it printed. */
export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Keeps what a tool prints. */
export class Collected implements Output {
  closed = false;
  text = '';
  /** Its reader goes after this many writes. */
  writes = Infinity;

  write(chunk: string | Buffer): Promise<void> {
    this.text += chunk.toString();
    this.closed = --this.writes <= 0;
    return Promise.resolve();
  }
}

export interface RunOptions {
  readonly environment?: Readonly<Record<string, string>>;
  readonly fs?: ToolFileSystem;
  /** Aborts for Ctrl-C. */
  readonly signal?: AbortSignal;
}

/** Runs a tool for a log directory as its program does, in this process: another process takes half a second. */
export async function runHere<Table extends OptionTable, Name extends string>(
  tool: Tool<Table, Name>,
  argv: readonly string[],
  { environment = {}, fs = toolFileSystem, signal = new AbortController().signal }: RunOptions = {},
): Promise<Ran> {
  const [output, errors] = [new Collected(), new Collected()];
  const code = await runTool(tool, argv, { environment, fs, output, errors, interrupted: () => signal });
  return { code, out: output.text, err: errors.text };
}

/** Runs a program as a process of its own. */
export async function runProcess(
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Ran & { readonly pid: number | undefined }> {
  const child = spawn(command, args, { env: { ...process.env, ...environment } });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out, err, pid: child.pid };
}

/** What a tool printed is this, in full. */
export function printed(t: Test, ran: Ran, expected: Partial<Ran>, message: string = ''): void {
  const { code, out, err } = { ...ran, ...expected };
  t.same({ code: ran.code, out: ran.out, err: ran.err }, { code, out, err }, message);
}
