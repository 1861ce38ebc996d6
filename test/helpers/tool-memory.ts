import { spawn } from 'node:child_process';
import { once } from 'node:events';

const PEAK =
  'data:text/javascript,import{writeSync}from"node:fs";process.on("exit",()=>writeSync(2,`peak ${process.resourceUsage().maxRSS}\\n`))';

export interface ToolRun {
  readonly code: unknown;
  /** The most memory that it took, in MiB. */
  readonly peak: number;
  /** The end of what it printed. */
  readonly out: string;
}

/** Runs a program of Forebay to its end. */
export async function peakOf(...args: readonly string[]): Promise<ToolRun> {
  const child = spawn(process.execPath, ['--import', PEAK, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [err, out] = ['', ''];
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out = (out + text).slice(-1000)));
  const [code] = await once(child, 'close');
  return { code, peak: Number(/peak (\d+)/.exec(err)?.[1]) / 1024, out };
}
