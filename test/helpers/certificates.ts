import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempDir } from './temp-dir.js';
import type { Scope } from './temp-dir.js';

/** Why a test that needs certificates is skipped; `false`: it is not. */
export const noOpenssl: string | false =
  spawnSync('openssl', ['version']).status === 0 ? false : 'openssl is not on the PATH';

/** A certificate and its key, as PEM. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** Signs certificates for this machine, and for clients. */
export class Authority {
  /** Its own certificate, as PEM. */
  readonly cert: string;
  readonly #dir: string;
  #issued = 0;

  constructor(t: Scope) {
    this.#dir = tempDir(t);
    const subject = ['-subj', '/CN=Test authority', '-days', '30'];
    this.#openssl('req', '-x509', ...NEW_KEY, '-keyout', 'ca.key', '-out', 'ca.pem', ...subject);
    this.cert = readFileSync(join(this.#dir, 'ca.pem'), 'utf8');
  }

  /** A new pair for `localhost` and its addresses. @param days how long it is valid */
  issue(name: string = 'localhost', days: number = 30): Pair {
    const [key, request, cert] = ['key', 'csr', 'pem'].map((end) => `${this.#issued}.${end}`) as [
      string,
      string,
      string,
    ];
    this.#issued++;
    writeFileSync(join(this.#dir, 'names'), 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1\n');
    this.#openssl('req', '-new', ...NEW_KEY, '-keyout', key, '-out', request, '-subj', `/CN=${name}`);
    const ca = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', 'names'];
    this.#openssl('x509', '-req', '-in', request, '-out', cert, ...ca, '-days', String(days));
    const read = (file: string): string => readFileSync(join(this.#dir, file), 'utf8');
    return { cert: read(cert), key: read(key) };
  }

  #openssl(...args: readonly string[]): void {
    execFileSync('openssl', args, { cwd: this.#dir, stdio: 'ignore' });
  }
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

/** The files of a server, and their flags. */
export class PairFiles {
  readonly settings: { readonly tlsCert: string; readonly tlsKey: string };
  readonly flags: readonly string[];

  constructor(t: Scope, pair: Pair) {
    const dir = tempDir(t);
    this.settings = { tlsCert: join(dir, 'cert.pem'), tlsKey: join(dir, 'key.pem') };
    this.flags = ['--tls-cert', this.settings.tlsCert, '--tls-key', this.settings.tlsKey];
    this.write(pair);
  }

  /** Replaces one file after the other, or one of them. */
  write({ cert, key }: Partial<Pair>): void {
    if (cert !== undefined) writeFileSync(this.settings.tlsCert, cert);
    if (key !== undefined) writeFileSync(this.settings.tlsKey, key);
  }
}
