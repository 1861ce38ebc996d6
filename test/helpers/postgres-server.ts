import { execFile, execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Test } from 'tap';
import { freePort } from './free-port.js';
import { tempDir } from './temp-dir.js';
import { until } from './wait-for.js';

/** Where Debian has the programs; elsewhere those on the PATH. */
const DEBIAN = '/usr/lib/postgresql';
/** Ends the server by the signal that it reads, and also where the test is killed: then its input ends. */
const SUPERVISOR = '"$0" "$@" </dev/null & read -r signal; kill -"${signal:-QUIT}" $!; wait $!';
const START_MS_MAX = 30_000;
const USER = 'forebay';
const HOST = '127.0.0.1';

/** A PostgreSQL server of its own, in a temporary folder, on a free port. It stops with the test. */
export class PostgresServer {
  static readonly password = 's3cret+pass';
  readonly port: number;
  /** In PEM, of a certificate for 127.0.0.1, where the server has one. */
  readonly ca: string | null;
  readonly #programs: string;
  readonly #data: string;
  #process: ChildProcess | null = null;
  #databases = 0;

  private constructor(programs: string, data: string, port: number, ca: string | null) {
    this.#programs = programs;
    this.#data = data;
    this.port = port;
    this.ca = ca;
  }

  /** Why no server can be started here; `false` where it can. */
  static missing(): string | false {
    return programsFolder() === null ? 'PostgreSQL is not installed (initdb is not on the PATH)' : false;
  }

  static async start(t: Test): Promise<PostgresServer> {
    const programs = programsFolder();
    if (programs === null) throw new Error('PostgreSQL is not installed');
    const folder = tempDir(t);
    const data = join(folder, 'data');
    mkdirSync(data, { mode: 0o700 });
    writeFileSync(join(folder, 'password'), PostgresServer.password);
    const { uid, gid } = serverUser();
    for (const path of [folder, data]) chownSync(path, uid, gid);
    const initdb = ['-D', data, '-U', USER, '-E', 'UTF8', '--locale=C', '--no-sync', '--auth=scram-sha-256'];
    execFileSync(join(programs, 'initdb'), [...initdb, `--pwfile=${join(folder, 'password')}`], {
      stdio: ['ignore', 'ignore', 'pipe'], // the error has what it says
      uid,
      gid,
      cwd: folder,
    });
    const ca = certificate(data, uid, gid);
    const server = new PostgresServer(programs, data, await freePort(), ca);
    t.teardown(() => server.stop());
    await server.start();
    return server;
  }

  /** Starts it, again, on the same folder and port, unless it runs; resolves once it answers. */
  async start(): Promise<void> {
    if (this.#process !== null) return;
    const settings = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'max_connections=40'];
    if (this.ca !== null) settings.push('ssl=on');
    const flags = settings.flatMap((each) => ['-c', each]);
    const command = [join(this.#programs, 'postgres'), '-D', this.#data, '-p', `${this.port}`, ...flags];
    const started = spawn('/bin/sh', ['-c', SUPERVISOR, ...command], {
      stdio: ['pipe', 'ignore', 'pipe'],
      ...serverUser(),
      cwd: this.#data,
    });
    this.#process = started;
    let said = '';
    started.stderr.on('data', (text: Buffer) => {
      said += text.toString();
    });
    const answers = async (): Promise<boolean> => (await this.query('SELECT 1').catch(() => null)) !== null;
    await until(answers, 'PostgreSQL starts', START_MS_MAX).catch((error: unknown) => {
      throw new Error(said, { cause: error });
    });
  }

  /** Immediate: as in a crash, connections break off and the next start recovers from the log. */
  async stop(how: 'immediate' | 'fast' = 'immediate'): Promise<void> {
    const running = this.#process;
    this.#process = null;
    if (running === null) return;
    const ended = once(running, 'exit');
    running.stdin?.end(how === 'fast' ? 'INT\n' : 'QUIT\n');
    await ended;
  }

  /** A new, empty database. */
  async database(): Promise<string> {
    const name = `db_${++this.#databases}`;
    await this.query(`CREATE DATABASE ${name}`);
    return name;
  }

  url(database: string, password: string = PostgresServer.password): string {
    return `postgres://${USER}:${encodeURIComponent(password)}@${HOST}:${this.port}/${database}`;
  }

  /** What `psql` prints, unaligned and without headers. */
  async query(sql: string, database: string = 'postgres'): Promise<string> {
    const flags = ['-h', HOST, '-p', `${this.port}`, '-U', USER, '-d', database, '-XAtq'];
    const env = { ...process.env, PGPASSWORD: PostgresServer.password, PGCONNECT_TIMEOUT: '5' };
    const { stdout } = await promisify(execFile)(
      join(this.#programs, 'psql'),
      [...flags, '-v', 'ON_ERROR_STOP=1', '-c', sql],
      { env, maxBuffer: 64 * 2 ** 20 },
    );
    return stdout.trimEnd();
  }
}

function programsFolder(): string | null {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN) : [];
  const newest = versions.toSorted((a, b) => Number(b) - Number(a)).map((each) => join(DEBIAN, each, 'bin'));
  const onPath = (process.env['PATH'] ?? '').split(':');
  const folders = [...newest, ...onPath];
  return folders.find((each) => existsSync(join(each, 'initdb')) && existsSync(join(each, 'psql'))) ?? null;
}

/** The server refuses to run as root: root lends it to `nobody`. */
function serverUser(): { uid: number; gid: number } {
  const [uid = 0, gid = 0] = [process.getuid?.(), process.getgid?.()];
  if (uid !== 0) return { uid, gid };
  const [, , nobody, group] = /^nobody:.*$/m.exec(readFileSync('/etc/passwd', 'utf8'))?.[0].split(':') ?? [];
  return { uid: Number(nobody), gid: Number(group) };
}

/** A key and a certificate where the server looks for them; `null` without openssl. */
function certificate(data: string, uid: number, gid: number): string | null {
  const [key, cert] = [join(data, 'server.key'), join(data, 'server.crt')];
  const args = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', key, '-out', cert];
  try {
    execFileSync('openssl', [...args, '-subj', '/CN=forebay', '-addext', `subjectAltName=IP:${HOST}`], {
      stdio: 'ignore',
    });
  } catch {
    return null;
  }
  chmodSync(key, 0o600);
  for (const path of [key, cert]) chownSync(path, uid, gid);
  return readFileSync(cert, 'utf8');
}
