import type { KeyObject } from 'node:crypto';
import { jsonAnswer } from '../../seams/http-answer.js';
import { sourceKind } from '../../seams/source-kind.js';
import type { SourceKind } from '../../seams/source-kind.js';
import { hmacScheme, hmacSettings } from '../signature/hmac-header.js';
import type { HmacDefaults } from '../signature/hmac-header.js';
import { standardWebhooksScheme } from '../signature/standard-webhooks.js';
import { stripeScheme } from '../signature/stripe.js';
import { SIGNATURE_SETTINGS, verification } from '../signature/verification.js';
import type { Scheme } from '../signature/verification.js';
import { scalarAt } from './place.js';
import type { Handshake } from './webhook-reader.js';
import { webhookSettings } from './webhook-settings.js';
import type { WebhookDefaults, WebhookValues } from './webhook-settings.js';
import { webhookSource } from './webhook-source.js';
import type { WebhookExtras } from './webhook-source.js';

interface Preset extends WebhookDefaults, Pick<SourceKind, 'name' | 'help' | 'curl' | 'idWindowMs'> {
  readonly extras?: (values: WebhookValues) => WebhookExtras;
}

/** Senders that give each delivery an id of its own repeat it for less than a day, most of them. */
const ID_WINDOW_MS = 24 * 3_600_000;

/** What signs the text in `$body` in a shell, with the first secret of the file. */
const hmacInShell = (name: string, signed = '$body'): string =>
  `printf %s "${signed}" | openssl dgst -sha256 -hmac "$(head -n1 ${name}.secret)"`;
const hexInShell = (name: string, signed?: string): string =>
  `$(${hmacInShell(name, signed)} -r | cut -d' ' -f1)`;
const postInShell = (name: string, body: string, headers: readonly string[]): string =>
  `body='${body}'; curl localhost:8081/in/${name} -H 'content-type: application/json' ${headers.map((each) => `-H "${each}"`).join(' ')} -d "$body"`;

/** Slack asks the URL of an app for this before it sends events there. */
const slackHandshake: Handshake = (body) => {
  const challenge = scalarAt(body, ['challenge']);
  const isAsked = scalarAt(body, ['type']) === 'url_verification' && challenge !== '';
  return isAsked ? jsonAnswer(200, { challenge }) : null;
};

export const WEBHOOK_KINDS: readonly SourceKind[] = [
  sourceKind({
    name: 'webhook',
    help: 'any body as one event, from a sender that does not sign',
    flag: '--source webhook=/in/webhook,type=header:x-event',
    curl: `curl localhost:8081/in/webhook -H 'content-type: application/json' -H 'x-event: signup' -d '{"user":42}'`,
    settings: webhookSettings(),
    open: (base, values) => webhookSource(base, values),
  }),
  hmacKind(
    {
      name: 'hmac',
      help: 'any body as one event, signed with an HMAC in a header: which and how is set',
      curl: postInShell('hmac', '{"user":42}', [`x-signature: ${hexInShell('hmac')}`]),
    },
    {},
  ),
  hmacKind(
    {
      name: 'github',
      help: 'webhooks of GitHub',
      curl: postInShell('github', '{"zen":"Design for failure."}', [
        'x-github-event: ping',
        'x-github-delivery: evt-1',
        `x-hub-signature-256: sha256=${hexInShell('github')}`,
      ]),
      id: 'header:x-github-delivery',
      idWindowMs: ID_WINDOW_MS,
      type: 'header:x-github-event',
    },
    { header: 'x-hub-signature-256', prefix: 'sha256=' },
  ),
  signedKind(
    {
      name: 'standard-webhooks',
      help: 'webhooks as of standardwebhooks.com, which Svix sends as well',
      curl: `id=evt-1; at=$(date +%s); ${postInShell(
        'standard-webhooks',
        '{"type":"signup","data":{"user":42}}',
        [
          'webhook-id: $id',
          'webhook-timestamp: $at',
          'webhook-signature: v1,$(printf %s "$id.$at.$body" | openssl dgst -sha256 -mac HMAC -macopt hexkey:$(head -n1 standard-webhooks.secret | cut -c7- | base64 -d | od -An -v -tx1 | tr -d \' \\n\') -binary | base64)',
        ],
      )}`,
      id: 'header:webhook-id,header:svix-id',
      idWindowMs: ID_WINDOW_MS,
      type: '/type',
    },
    standardWebhooksScheme,
  ),
  signedKind(
    {
      name: 'stripe',
      help: 'webhooks of Stripe',
      curl: `at=$(date +%s); ${postInShell('stripe', '{"id":"evt_1","type":"charge.succeeded"}', [
        `stripe-signature: t=$at,v1=${hexInShell('stripe', '$at.$body')}`,
      ])}`,
      id: '/id',
      idWindowMs: ID_WINDOW_MS,
      type: '/type',
    },
    stripeScheme,
  ),
  hmacKind(
    {
      name: 'slack',
      help: 'events, commands and interactions of Slack',
      curl: `at=$(date +%s); ${postInShell('slack', '{"event_id":"Ev1","event":{"type":"app_mention"}}', [
        'x-slack-request-timestamp: $at',
        `x-slack-signature: v0=${hexInShell('slack', 'v0:$at:$body')}`,
      ])}`,
      id: '/event_id',
      idWindowMs: ID_WINDOW_MS,
      type: '/event/type,/type',
      status: 200,
      // what a command is answered with is shown to its user
      extras: ({ status }) => ({ answer: { status, headers: {}, body: '' }, handshake: slackHandshake }),
    },
    {
      header: 'x-slack-signature',
      prefix: 'v0=',
      signed: 'v0:{timestamp}:{body}',
      timestampHeader: 'x-slack-request-timestamp',
    },
  ),
  hmacKind(
    {
      name: 'shopify',
      help: 'webhooks of Shopify',
      curl: postInShell('shopify', '{"id":820982911946154508}', [
        'x-shopify-webhook-id: evt-1',
        'x-shopify-topic: orders/create',
        `x-shopify-hmac-sha256: $(${hmacInShell('shopify')} -binary | base64)`,
      ]),
      id: 'header:x-shopify-webhook-id',
      idWindowMs: ID_WINDOW_MS,
      type: 'header:x-shopify-topic',
    },
    { header: 'x-shopify-hmac-sha256', encoding: 'base64' },
  ),
];

/** A kind whose sender signs with an HMAC in a header. */
function hmacKind(preset: Preset, defaults: HmacDefaults): SourceKind {
  return sourceKind({
    ...about(preset),
    settings: { ...webhookSettings(preset), ...SIGNATURE_SETTINGS, ...hmacSettings(defaults) },
    open: (base, values, context) =>
      webhookSource(base, values, {
        ...preset.extras?.(values),
        ...verification(base.name, values, context, hmacScheme(base.name, values)),
      }),
  });
}

/** A kind whose sender signs in its own way. */
function signedKind(preset: Preset, scheme: Scheme<KeyObject>): SourceKind {
  return sourceKind({
    ...about(preset),
    settings: { ...webhookSettings(preset), ...SIGNATURE_SETTINGS },
    open: (base, values, context) =>
      webhookSource(base, values, {
        ...preset.extras?.(values),
        ...verification(base.name, values, context, scheme),
      }),
  });
}

function about({ name, help, curl, idWindowMs }: Preset): Pick<
  SourceKind,
  'name' | 'help' | 'flag' | 'curl' | 'idWindowMs'
> & {
  readonly flag: string;
} {
  const window = idWindowMs === undefined ? {} : { idWindowMs };
  return { name, help, curl, ...window, flag: `--source ${name}=/in/${name},secret-file=${name}.secret` };
}
