import { constants, createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { TlsOptions } from 'node:tls';
import { asError } from '../base/errors.js';
import type { Logger } from '../base/reporter.js';
import type { HttpSettings } from '../settings/http-settings.js';
import { invalid } from '../settings/setting-error.js';
import { SettingFile } from '../settings/setting-file.js';
import type { FileErrors } from '../settings/setting-file.js';

/** How often the files are looked at, in milliseconds. */
const LOOK_MS = 1000;
/** A certificate that is valid for less than this is worth a warning, in milliseconds. */
const EXPIRES_SOON_MS = 14 * 86_400_000;
const FILE_ERRORS: FileErrors = { unusable: 'SETTING_INVALID', stale: 'TLS_STALE' };
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g;

type TlsSettings = Pick<HttpSettings, 'tlsCert' | 'tlsKey' | 'tlsClientCa'>;

/**
 * The certificate of the door, its key, and the certificates that sign those of clients. They are read again when their
 * files change. A renewal replaces two files one after the other, so those that fit each other are used on until the
 * new ones do, too.
 */
export class TlsFiles {
  readonly #cert: SettingFile<readonly string[]>;
  readonly #key: SettingFile<string>;
  readonly #clientCa: SettingFile<readonly string[]> | null;
  readonly #logger: Logger;
  #options: TlsOptions;
  /** Why the last files were not used; it is reported once. */
  #failure: string | null = null;
  #timer: NodeJS.Timeout | null = null;
  /** When the certificate expires, in seconds since 1970. */
  expirySeconds = NaN;

  /** @throws ForebayError `SETTING_INVALID` */
  constructor(cert: string, key: string, clientCa: string | null, logger: Logger) {
    this.#logger = logger;
    this.#cert = new SettingFile('--tls-cert', cert, certificates, logger, FILE_ERRORS);
    this.#key = new SettingFile('--tls-key', key, privateKey, logger, FILE_ERRORS);
    this.#clientCa =
      clientCa === null
        ? null
        : new SettingFile('--tls-client-ca', clientCa, certificates, logger, FILE_ERRORS);
    try {
      this.#options = this.#read();
    } catch (error) {
      throw invalid(`${cert} (--tls-cert) and ${key} (--tls-key) cannot be used: ${asError(error).message}`);
    }
    this.#report();
  }

  /** For a server of `node:tls`. */
  get options(): TlsOptions {
    return this.#options;
  }

  /** Looks for changes once a second, until `close`. @param changed called when there are new options */
  watch(changed: () => void): void {
    let isLooking = false; // a file system may hang, and there are few threads for it
    this.#timer ??= setInterval(() => {
      if (isLooking) return;
      isLooking = true;
      void this.refresh().then((isNew) => {
        isLooking = false;
        if (isNew) changed();
      });
    }, LOOK_MS).unref();
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** Looks for changes. @returns whether there are new options */
  async refresh(): Promise<boolean> {
    // all of them first: a pair that was replaced as a whole is never half of one
    const files = [this.#cert, this.#key, ...(this.#clientCa === null ? [] : [this.#clientCa])];
    const areNew = await Promise.all(files.map(async (file) => file.refresh(true)));
    if (!areNew.includes(true)) return false;
    try {
      this.#options = this.#read();
    } catch (error) {
      const failure = asError(error).message;
      if (failure !== this.#failure) {
        const message = `The files of --tls-cert and --tls-key cannot be used: ${failure}; the certificate is used as before`;
        this.#logger.warn({ code: 'TLS_STALE' }, message);
      }
      this.#failure = failure;
      return false;
    }
    this.#failure = null;
    this.#report();
    return true;
  }

  #read(): TlsOptions {
    const [leaf = ''] = this.#cert.value;
    const key = this.#key.value;
    const certificate = new X509Certificate(leaf);
    if (!certificate.checkPrivateKey(createPrivateKey(key)))
      throw new Error('the key is not that of the first certificate');
    const options: TlsOptions = {
      cert: this.#cert.value.join('\n'),
      key,
      minVersion: 'TLSv1.2',
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
      ALPNProtocols: ['http/1.1'],
      ...(this.#clientCa && { ca: [...this.#clientCa.value], requestCert: true }),
    };
    createSecureContext(options); // finds what else is wrong
    this.expirySeconds = Date.parse(certificate.validTo) / 1000;
    return options;
  }

  #report(): void {
    const { expirySeconds } = this;
    const day = new Date(expirySeconds * 1000).toISOString();
    if (expirySeconds * 1000 - Date.now() > EXPIRES_SOON_MS)
      this.#logger.info({ expirySeconds }, `The certificate of --tls-cert expires at ${day}`);
    else
      this.#logger.warn(
        { code: 'TLS_EXPIRES', expirySeconds },
        `The certificate of --tls-cert expires at ${day}: renew it, no restart is needed`,
      );
  }
}

/** `null`: the door takes no TLS. @throws ForebayError `SETTING_INVALID` */
export function tlsFiles({ tlsCert, tlsKey, tlsClientCa }: TlsSettings, logger: Logger): TlsFiles | null {
  if (tlsCert !== null && tlsKey !== null) return new TlsFiles(tlsCert, tlsKey, tlsClientCa, logger);
  if (tlsCert !== null) throw invalid('--tls-cert needs --tls-key');
  if (tlsKey !== null) throw invalid('--tls-key needs --tls-cert');
  if (tlsClientCa !== null) throw invalid('--tls-client-ca needs --tls-cert');
  return null;
}

/** @returns one PEM text for each */
function certificates(pem: string): readonly string[] {
  const texts = pem.match(CERTIFICATE) ?? [];
  try {
    for (const text of texts) void new X509Certificate(text);
  } catch (error) {
    throw new Error('it holds a certificate that is damaged', { cause: error });
  }
  if (texts.length === 0) throw new Error('it holds no certificate as PEM');
  return texts;
}

function privateKey(pem: string): string {
  try {
    createPrivateKey(pem);
  } catch (error) {
    // the words of OpenSSL are for those who know it
    throw new Error('it holds no private key as PEM without a passphrase', { cause: error });
  }
  return pem;
}
