import { createHmac } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { silentLogger } from '../../lib/base/reporter.js';
import type { SourceContext } from '../../lib/seams/source-kind.js';
import type { Source } from '../../lib/seams/source.js';
import { readOptions } from '../../lib/settings/option-table.js';
import { declaredSources, SOURCE_FLAGS } from '../../lib/settings/source-settings.js';
import { openSources } from '../../lib/sources/registry.js';
import { tempDir } from './temp-dir.js';
import type { Scope } from './temp-dir.js';

type Headers = Readonly<Record<string, string>>;

/** A sender of webhooks that signs, written from its documentation. */
export interface Sender {
  /** A body for an event with this id. */
  readonly body: (id: string) => string;
  /** @param at seconds since 1970 */
  readonly headers: (id: string, body: string | Buffer, secret: string, at: number) => Headers;
}

/** Fit for all of them. */
export const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

const hmac = (secret: string | Buffer, encoding: 'hex' | 'base64', ...parts: (string | Buffer)[]): string => {
  const digest = createHmac('sha256', secret);
  for (const part of parts) digest.update(part);
  return digest.digest(encoding);
};

const STANDARD = (prefix: string): Sender => ({
  body: () => '{"type":"t"}',
  headers: (id, body, secret, at) => ({
    [`${prefix}-id`]: id,
    [`${prefix}-timestamp`]: String(at),
    [`${prefix}-signature`]: `v1,${hmac(Buffer.from(secret.slice(6), 'base64'), 'base64', `${id}.${at}.`, body)}`,
  }),
});

export const SENDERS: Readonly<Record<string, Sender>> = {
  hmac: {
    body: (id) => `{"id":"${id}"}`,
    headers: (_id, body, secret) => ({ 'X-Signature': hmac(secret, 'hex', body) }),
  },
  github: {
    body: () => '{"zen":"Design for failure."}',
    headers: (id, body, secret) => ({
      'X-GitHub-Event': 'ping',
      'X-GitHub-Delivery': id,
      'X-Hub-Signature-256': `sha256=${hmac(secret, 'hex', body)}`,
    }),
  },
  'standard-webhooks': STANDARD('webhook'),
  svix: STANDARD('svix'),
  stripe: {
    body: (id) => `{"id":"${id}","type":"charge.succeeded"}`,
    headers: (_id, body, secret, at) => ({
      'Stripe-Signature': `t=${at},v1=${hmac(secret, 'hex', `${at}.`, body)},v0=${'0'.repeat(64)}`,
    }),
  },
  slack: {
    body: (id) => `{"event_id":"${id}","event":{"type":"app_mention"}}`,
    headers: (_id, body, secret, at) => ({
      'X-Slack-Request-Timestamp': String(at),
      'X-Slack-Signature': `v0=${hmac(secret, 'hex', `v0:${at}:`, body)}`,
    }),
  },
  shopify: {
    body: () => '{"id":820982911946154508}',
    headers: (id, body, secret) => ({
      'X-Shopify-Topic': 'orders/create',
      'X-Shopify-Webhook-Id': id,
      'X-Shopify-Hmac-Sha256': hmac(secret, 'base64', body),
    }),
  },
};

/** The time of a signature made now, in seconds since 1970. */
export function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

/** Opens a source as `--source` declares it; it is closed after the test. */
export function openSource(t: Scope, declaration: string, context: Partial<SourceContext> = {}): Source {
  const declared = declaredSources(readOptions(SOURCE_FLAGS, ['--source', declaration]));
  const source = openSources(declared, { logger: silentLogger, ...context }).at(-1);
  if (source === undefined) throw new Error('there is no source');
  t.teardown(() => source.close?.());
  return source;
}

/** A file with these secrets. */
export function secretFile(t: Scope, ...secrets: readonly string[]): string {
  const path = join(tempDir(t), 'secrets');
  writeFileSync(path, `${secrets.join('\n')}\n`);
  return path;
}
