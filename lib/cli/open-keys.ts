import { isLoopback } from '../door/host-rules.js';
import { Keys } from '../keys/keys.js';
import { isOpen } from '../keys/open-sources.js';
import type { Logger } from '../base/reporter.js';
import type { Source } from '../seams/source.js';
import { invalid } from '../settings/setting-error.js';
import type { ServerSettings } from './server-settings.js';

/**
 * Opens the keys file, and looks who may send without a key.
 *
 * @param logger gets one line if sources are open to more than this machine, and nobody said that they should be
 * @returns `null`: there is no keys file
 * @throws ForebayError `SETTING_INVALID` if `--require-keys` is not met or a line is wrong, `KEYS_FILE_FAILED`
 */
export function openKeys(
  {
    keysFile,
    requireKeys,
    host,
    tlsClientCa,
  }: Pick<ServerSettings, 'keysFile' | 'requireKeys' | 'host' | 'tlsClientCa'>,
  sources: readonly Source[],
  logger: Logger,
): Keys | null {
  const open = sources.filter((source) => isOpen(source, keysFile !== null));
  if (requireKeys && open.length > 0) {
    const why = keysFile === null ? '--keys-file is missing' : 'its setting "key" is "none"';
    throw invalid(`--require-keys: anyone may send to ${namesOf(open)}, as ${why}`);
  }
  const unintended = open.filter(({ keyRule = null }) => keyRule === null);
  // with --tls-client-ca each client shows a certificate
  if (unintended.length > 0 && tlsClientCa === null && !isLoopback(host)) {
    const message = `Anyone who reaches ${host} may send to ${namesOf(unintended)}: --keys-file asks for a key`;
    logger.warn({ code: 'SOURCE_PUBLIC' }, message);
  }
  return keysFile === null ? null : new Keys(keysFile, logger);
}

function namesOf(sources: readonly Source[]): string {
  const names = sources.map(({ name }) => name).join(', ');
  return `the ${sources.length === 1 ? 'source' : 'sources'} ${names}`;
}
