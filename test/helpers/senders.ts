import { createHmac } from 'node:crypto';

/** A request without what frames it. */
export interface SourceRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What GitHub would send to a source `github` with this secret: a pretty-printed body, a new delivery each time. */
export function githubDelivery(secret: string, id: string, data: unknown = null): SourceRequest {
  const body = JSON.stringify({ action: 'opened', delivery: id, data }, null, 2);
  const signature = createHmac('sha256', secret).update(body).digest('hex');
  return {
    path: '/in/github',
    headers: {
      'Content-Type': 'application/json',
      'X-GitHub-Event': 'issues',
      'X-GitHub-Delivery': id,
      'X-Hub-Signature-256': `sha256=${signature}`,
    },
    body,
  };
}

/** A CloudEvent in binary mode, as SDKs send it. */
export function binaryCloudEvent(path: string, id: string, data: unknown = null): SourceRequest {
  return {
    path,
    headers: {
      'Content-Type': 'application/json',
      'ce-specversion': '1.0',
      'ce-id': id,
      'ce-type': 'com.example.test',
      'ce-source': '/tests',
    },
    body: JSON.stringify(data),
  };
}
