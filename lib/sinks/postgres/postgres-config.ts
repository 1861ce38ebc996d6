import { userInfo } from 'node:os';
import pgpass from 'pgpass';
import { parseIntoClientConfig } from 'pg-connection-string';
import type { ClientConfig } from 'pg';
import type { SettingFile } from '../../settings/setting-file.js';

interface PostgresAddress {
  readonly url: string;
  readonly ca: string | SettingFile<string> | null;
  /** How long the server may take for a statement, in milliseconds. */
  readonly timeoutMs: number;
}

/** The weaker modes mean `verify-full` to `pg` as well, and it says so in a warning. */
const SSL_MODE = /([?&]sslmode=)(?:prefer|require|verify-ca)(?=&|$)/;

/**
 * How to connect. Throws if the URL cannot be read; its message never contains the URL.
 *
 * The server ends a statement by itself after the timeout: one that waits for a lock would otherwise outlive the
 * attempt, and at each further attempt there would be one more. It is a parameter of the connection, which PgBouncer
 * does not take by default; `?statement_timeout=0` leaves it away.
 */
export function postgresConfig({ url, ca, timeoutMs }: PostgresAddress): ClientConfig {
  const isCompatible = url.includes('uselibpqcompat=true');
  const config = parseIntoClientConfig(isCompatible ? url : url.replace(SSL_MODE, '$1verify-full'));
  if (ca !== null) {
    if (config.ssl === false) throw new Error('--sink-ca needs TLS, and the URL turns it off');
    const ssl = typeof config.ssl === 'object' ? config.ssl : {};
    config.ssl = {
      ...ssl,
      // asked for at each connection
      get ca() {
        if (typeof ca === 'string') return ca;
        void ca.refresh(false); // for the next one
        return ca.value;
      },
      rejectUnauthorized: true,
    };
  }
  const ownMs = Number(config.statement_timeout ?? timeoutMs);
  if (String(config.statement_timeout) === '' || !Number.isSafeInteger(ownMs) || ownMs < 0)
    throw new Error('statement_timeout must be a whole number of milliseconds');
  return {
    ...config,
    statement_timeout: ownMs === 0 ? false : ownMs,
    fallback_application_name: 'forebay',
    keepAlive: true,
    ...(isMissing(config.user) && namedUser()),
    // pg asks it only where neither the URL nor PGPASSWORD has one
    ...(isMissing(config.password) && isMissing(process.env['PGPASSWORD']) && { password: passwordInFile }),
  };
}

/** As libpq does; pg itself knows only the variables, and a container or cron may not have `USER`. */
function namedUser(): { user?: string } {
  const { PGUSER, USER } = process.env;
  if (!isMissing(PGUSER) || !isMissing(USER)) return {};
  try {
    return { user: userInfo().username };
  } catch {
    return {}; // no such user on this system: the database says what it misses
  }
}

/** As libpq does: from the file that `PGPASSFILE` names, or `~/.pgpass`. */
async function passwordInFile(to: Parameters<typeof pgpass>[0] = {}): Promise<string> {
  const password = await new Promise<string | undefined>((resolve) => {
    pgpass(to, resolve);
  });
  if (password !== undefined) return password;
  throw new Error('the database asks for a password: set it with PGPASSWORD, PGPASSFILE or the URL');
}

function isMissing(text: unknown): boolean {
  return text === undefined || text === '';
}
