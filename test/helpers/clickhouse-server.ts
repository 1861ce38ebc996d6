import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';
import { freePort } from './free-port.js';

const NAME = 'clickhouse-server';

/** Where ClickHouse is on this machine; `null`: it is not. */
export function clickHouseBinary(): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin'];
  return folders.map((folder) => join(folder, NAME)).find(existsSync) ?? null;
}

/** A ClickHouse server of its own: in a folder, on a free port of 127.0.0.1. */
export class ClickHouseServer {
  readonly port: number;
  readonly #binary: string;
  readonly #dir: string;
  #child: ChildProcess | null = null;
  #output = '';

  static async create(binary: string, dir: string): Promise<ClickHouseServer> {
    const server = new ClickHouseServer(binary, dir, await freePort());
    await server.start();
    return server;
  }

  private constructor(binary: string, dir: string, port: number) {
    this.#binary = binary;
    this.#dir = dir;
    this.port = port;
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, 'config.xml'), configXml(dir, port));
    writeFileSync(join(dir, 'users.xml'), USERS_XML);
  }

  async start(): Promise<void> {
    const child = spawn(this.#binary, [`--config-file=${join(this.#dir, 'config.xml')}`], { cwd: this.#dir });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (text: Buffer) => (this.#output += text.toString()));
    for (;;) {
      if (child.exitCode !== null) throw new Error(`ClickHouse ended: ${this.#output.slice(-2000)}`);
      if (await this.query('SELECT 1').catch(() => null)) return;
      await sleep(50);
    }
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  /** @throws where ClickHouse does not answer 200 */
  async query(statement: string): Promise<string> {
    const { statusCode, body } = await request(`http://127.0.0.1:${this.port}/`, {
      method: 'POST',
      body: statement,
    });
    const text = await body.text();
    if (statusCode !== 200) throw new Error(`${statusCode} ${text}`);
    return text;
  }
}

function configXml(dir: string, port: number): string {
  return `<yandex>
  <logger><level>warning</level><console>1</console></logger>
  <listen_host>127.0.0.1</listen_host>
  <http_port>${port}</http_port>
  <path>${dir}/data/</path>
  <tmp_path>${dir}/tmp/</tmp_path>
  <users_config>users.xml</users_config>
  <default_profile>default</default_profile>
  <default_database>default</default_database>
  <mark_cache_size>5242880</mark_cache_size>
</yandex>`;
}

const USERS_XML = `<yandex>
  <profiles><default/></profiles>
  <quotas><default/></quotas>
  <users>
    <default>
      <password></password>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>default</profile>
      <quota>default</quota>
    </default>
  </users>
</yandex>`;
