import { createHmac, createPrivateKey, createPublicKey, sign as signWith } from 'node:crypto';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { sign as githubSignature } from '@octokit/webhooks-methods';
import { Webhook } from 'standardwebhooks';
import t from 'tap';
import type { Test } from 'tap';
import { ForebayError } from '../../../lib/base/errors.js';
import type { Logger } from '../../../lib/base/reporter.js';
import { silentLogger } from '../../../lib/base/reporter.js';
import type { Source } from '../../../lib/seams/source.js';
import { ids, openRaw, post } from '../../helpers/raw-door.js';
import { headOf } from '../../helpers/read-source.js';
import { tempDir } from '../../helpers/temp-dir.js';
import { until } from '../../helpers/wait-for.js';
import { nowSeconds, openSource, SECRET, secretFile, SENDERS } from '../../helpers/webhook-senders.js';

type Headers = Readonly<Record<string, string>>;

const AT = 1_700_000_000;
const WRONG = 'The signature is missing or wrong, or its timestamp is too far from now';

/** Opens a source of a kind with these secrets, at a time in seconds. */
function open(t: Test, format: string, secrets: readonly string[], at = AT, settings = ''): Source {
  const about = `hook=/in/hook,format=${format},secret-file=${secretFile(t, ...secrets)}${settings}`;
  return openSource(t, about, { now: () => at * 1000 });
}

/** Whether a source takes a body; what it says otherwise is always the same. */
function takes(source: Source, headers: Headers, body: string | Buffer): boolean {
  try {
    source.verify?.(headOf(headers), Buffer.from(body));
    return true;
  } catch (error) {
    if (!(error instanceof ForebayError)) throw error;
    const { code, message, status } = error;
    if (code !== 'SIGNATURE_WRONG' || message !== WRONG || status !== 401) throw error;
    return false;
  }
}

void t.test("the senders' published examples are taken", (t) => {
  const github = open(t, 'github', ["It's a Secret to Everybody"]);
  const published = 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17';
  t.ok(takes(github, { 'X-Hub-Signature-256': published }, 'Hello, World!'), 'GitHub');

  const slack = open(t, 'slack', ['8f742231b10e8888abcd99yyyzzz85a5'], 1_531_420_618);
  const command =
    'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c';
  const slackHeaders = {
    'X-Slack-Request-Timestamp': '1531420618',
    'X-Slack-Signature': 'v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503',
  };
  t.ok(takes(slack, slackHeaders, command), 'Slack');

  const standard = {
    'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  };
  const body = '{"test": 2432232314}';
  t.ok(takes(open(t, 'standard-webhooks', [SECRET], 1_614_265_330), standard, body), 'Standard Webhooks');
  const asymmetric =
    'v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag==';
  const publicKey = publicKeyOf('VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=');
  const signed = { ...standard, 'webhook-signature': asymmetric };
  t.ok(
    takes(open(t, 'standard-webhooks', [publicKey], 1_614_265_330), signed, body),
    'the same with Ed25519',
  );

  const svix = {
    'svix-id': 'msg_loFOjxBNrRLzqYUf',
    'svix-timestamp': '1731705121',
    'svix-signature': 'v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=',
  };
  const svixSource = open(t, 'standard-webhooks', ['whsec_plJ3nmyCDGBKInavdOK15jsl'], 1_731_705_121);
  t.ok(takes(svixSource, svix, '{"event_type":"ping","data":{"success":true}}'), 'Svix');

  // made by `webhooks.generateTestHeaderString` of Stripe's library
  const stripe = 't=1700000000,v1=4f1cd7feda9826e746b7d482c4badebb657398df1099e1046364f6196a230150';
  const test = '{\n  "id": "evt_test_webhook",\n  "object": "event"\n}';
  t.ok(takes(open(t, 'stripe', ['whsec_test_secret']), { 'Stripe-Signature': stripe }, test), 'Stripe');
  t.end();
});

/** The private key of a seed, and the public key as Standard Webhooks writes it. */
function privateKeyOf(seed: string): ReturnType<typeof createPrivateKey> {
  const der = Buffer.concat([
    Buffer.from('302e020100300506032b657004220420', 'hex'),
    Buffer.from(seed, 'base64'),
  ]);
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
}

function publicKeyOf(seed: string): string {
  const { x = '' } = createPublicKey(privateKeyOf(seed)).export({ format: 'jwk' });
  return `whpk_${Buffer.from(x, 'base64url').toString('base64')}`;
}

void t.test("what the senders' libraries sign is taken", async (t) => {
  const bodies = ['{}', '{"é":"😀\\u0000"}', 'payload=%7B%7D', ' '];
  for (const body of bodies) {
    const signature = await githubSignature(SECRET, body);
    t.ok(takes(open(t, 'github', [SECRET]), { 'X-Hub-Signature-256': signature }, body), 'GitHub');
    const webhook = new Webhook(SECRET);
    const headers = {
      'webhook-id': 'msg_1',
      'webhook-timestamp': String(AT),
      'webhook-signature': webhook.sign('msg_1', new Date(AT * 1000), body),
    };
    for (const secret of [SECRET, SECRET.slice(6)])
      t.ok(takes(open(t, 'standard-webhooks', [secret]), headers, body), 'Standard Webhooks');
  }
});

const flips = (bytes: Buffer): Buffer[] =>
  Array.from({ length: bytes.length * 8 }, (_, bit) => {
    const flipped = Buffer.from(bytes);
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    return flipped;
  });

void t.test(
  'a flipped bit in body, timestamp, id or signature is refused, and so is what is missing',
  (t) => {
    for (const [name, sender] of Object.entries(SENDERS)) {
      const source = open(t, name === 'svix' ? 'standard-webhooks' : name, [SECRET]);
      const body = sender.body('a');
      const headers = sender.headers('a', body, SECRET, AT);
      t.ok(takes(source, headers, body), name);
      t.notOk(takes(source, {}, body), `${name}: no header at all`);
      const wrong = flips(Buffer.from(body)).filter((flipped) => takes(source, headers, flipped));
      t.same(wrong, [], `${name}: body`);
      for (const cut of [body.slice(1), body.slice(0, -1), `${body}\n`, `\u{feff}${body}`, ''])
        t.notOk(takes(source, headers, cut), `${name}: another length`);
      // not signed by their senders; Stripe's v0 is for tests
      const signed = Object.entries(headers).filter(
        ([header]) => !/^x-(?:github|shopify-(?!hmac))/i.test(header),
      );
      t.ok(signed.length > 0);
      for (const [header, value] of signed) {
        const [own = '', ignored = ''] = value.split(/(?=,v0=)/);
        const taken = flips(Buffer.from(own))
          .map((flipped) => flipped.toString('latin1') + ignored)
          .filter((flipped) => takes(source, { ...headers, [header]: flipped }, body));
        t.same(taken, [], `${name}: ${header}`);
        const { [header]: _, ...rest } = headers;
        t.notOk(takes(source, rest, body), `${name}: without ${header}`);
        for (const other of ['', ' ', `${own}=`, own.toUpperCase(), own.slice(0, -1)].filter(
          (each) => each !== own,
        ))
          t.notOk(
            takes(source, { ...headers, [header]: other + ignored }, body),
            `${name}: ${header}: ${other}`,
          );
      }
    }
    t.end();
  },
);

void t.test('what is refused leaves nothing on disk, on the fast path and without it', async (t) => {
  for (const [name, sender] of Object.entries(SENDERS)) {
    const source = open(t, name === 'svix' ? 'standard-webhooks' : name, [SECRET], nowSeconds());
    const logDir = tempDir(t);
    const { connect, server, forebay } = await openRaw(t, { sources: [source], logDir });
    const body = sender.body('a');
    const headers = sender.headers('a', body, SECRET, nowSeconds());
    const wire = (bytes: Buffer, more: Headers): Buffer =>
      Buffer.concat([
        Buffer.from(post({ ...headers, ...more, 'Content-Length': bytes.length }, '', source.path)),
        bytes,
      ]);
    const flipped = flips(Buffer.from(body));
    for (const more of [{}, { Prefer: 'respond-async' }]) {
      const client = await connect();
      let refused = 0;
      for (const bytes of flipped) {
        await client.send(wire(bytes, more));
        const { status, headers: answered } = await client.answer();
        if (status === 401 && answered['www-authenticate'] === 'Signature') refused++;
      }
      t.equal(refused, flipped.length, name);
    }
    t.equal(server.handedOverConnections, 1);
    t.equal(server.counts.refusedEvents.get('hook')?.get('SIGNATURE_WRONG'), 2 * flipped.length, 'by source');
    t.equal(forebay.counts().accepted, 0);
    t.same(
      readdirSync(logDir).filter((file) => file.startsWith('batch')),
      [],
    );
  }
});

void t.test('a timestamp may be 300 s away, in both directions', (t) => {
  for (const name of ['standard-webhooks', 'svix', 'stripe', 'slack']) {
    const sender = SENDERS[name];
    const source = (at: number, settings = ''): Source =>
      open(t, name === 'svix' ? 'standard-webhooks' : name, [SECRET], at, settings);
    const body = sender?.body('a') ?? '';
    const headers = sender?.headers('a', body, SECRET, AT) ?? {};
    for (const away of [-300, 300, 0]) t.ok(takes(source(AT + away), headers, body), `${name}: ${away} s`);
    for (const away of [-301, 301]) t.notOk(takes(source(AT + away), headers, body), `${name}: ${away} s`);
    t.ok(takes(source(AT + 3600, ',tolerance=1h'), headers, body));
    t.notOk(takes(source(AT + 3, ',tolerance=2s'), headers, body));
  }
  t.end();
});

void t.test('a request that is signed with any of the secrets is taken', (t) => {
  for (const [name, sender] of Object.entries(SENDERS)) {
    const old = 'whsec_b2xkIHNlY3JldCwgYWxzbyBsb25n';
    const source = open(t, name === 'svix' ? 'standard-webhooks' : name, [SECRET, old]);
    const body = sender.body('a');
    for (const secret of [SECRET, old])
      t.ok(takes(source, sender.headers('a', body, secret, AT), body), name);
    t.notOk(takes(source, sender.headers('a', body, 'whsec_b3RoZXI=', AT), body), name);
  }
  t.end();
});

void t.test('a secret is a line as it is', (t) => {
  const signed = (secret: string): Headers => SENDERS['github']?.headers('a', '{}', secret, AT) ?? {};
  const path = secretFile(t);
  writeFileSync(path, '\u{feff}first\r\n\n  \t\n# no comment\n two spaces  \r\né="\n');
  const source = openSource(t, `hook=/x,format=github,secret-file=${path}`);
  for (const secret of ['first', '# no comment', ' two spaces  ', 'é="'])
    t.ok(takes(source, signed(secret), '{}'), secret);
  for (const none of ['first\r', 'two spaces', '\u{feff}first', '  \t'])
    t.notOk(takes(source, signed(none), '{}'), JSON.stringify(none));
  t.end();
});

void t.test('Standard Webhooks: several signatures and keys, of which one must fit', (t) => {
  const seeds = [
    'VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=',
    'V0VCSE9PS0FTWU1NRVRSSUNURVNUUFJJVkFURUtFWTE=',
  ];
  const [key = '', other = ''] = seeds.map(publicKeyOf);
  const body = Buffer.of(0xff, 0x00, 0x0a);
  const content = Buffer.concat([Buffer.from(`msg.${AT}.`), body]);
  const [v1a = '', foreign = ''] = seeds.map(
    (seed) => `v1a,${signWith(null, content, privateKeyOf(seed)).toString('base64')}`,
  );
  const { 'webhook-signature': v1 = '' } =
    SENDERS['standard-webhooks']?.headers('msg', body, SECRET, AT) ?? {};
  const isTaken = (secrets: readonly string[], signature: string): boolean =>
    takes(
      open(t, 'standard-webhooks', secrets),
      { 'webhook-id': 'msg', 'webhook-timestamp': String(AT), 'webhook-signature': signature },
      body,
    );
  const noise = 'v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= v2,abc v1a, v1';
  for (const [secrets, signature, isGood] of [
    [[key], v1a, true],
    [[other, key], `${noise} ${v1a}`, true],
    [[SECRET, key], `${foreign} ${v1}`, true],
    [[SECRET, key], `${v1a}, ${foreign}`, true], // of two lines with this header
    [[key], v1a.replace('==', ''), false],
    [[SECRET], v1a, false],
    [[key], v1, false],
    [[key], foreign, false],
    [[SECRET, key], noise, false],
    [[SECRET], v1.replace('v1,', 'v1a,'), false],
    [[SECRET], v1.replace('v1,', ''), false],
    // with the public key as the secret of an HMAC
    [
      [key],
      `v1,${createHmac('sha256', Buffer.from(key.slice(5), 'base64'))
        .update(content)
        .digest('base64')}`,
      false,
    ],
    // each costs a pass over the body, and nobody has shown yet who sends it
    [[key], `${`${foreign} `.repeat(3)}${v1a}`, true],
    [[key], `${`${foreign} `.repeat(4)}${v1a}`, false],
  ] as const)
    t.equal(isTaken(secrets, signature), isGood, `${secrets.join()} ${signature}`);
  t.end();
});

void t.test('hmac: which header, hash and encoding, and what is signed', (t) => {
  const body = Buffer.of(0x7b, 0xff, 0x00);
  const digest = (hash: string, encoding: 'hex' | 'base64' | 'base64url', before = '', after = ''): string =>
    createHmac(hash, 's').update(before).update(body).update(after).digest(encoding);
  for (const [settings, headers, isGood = true] of [
    ['', { 'x-signature': digest('sha256', 'hex') }],
    [
      'algorithm=sha1,prefix=sha1=,signature-header=X-Hub-Signature',
      { 'x-hub-signature': `sha1=${digest('sha1', 'hex')}` },
    ],
    ['algorithm=sha512,encoding=base64', { 'x-signature': digest('sha512', 'base64') }],
    ['encoding=base64url', { 'x-signature': digest('sha256', 'base64url') }],
    ['prefix=v1=', { 'x-signature': `v1=${'0'.repeat(64)}, v1=${digest('sha256', 'hex')}` }],
    ['prefix=v1=', { 'x-signature': digest('sha256', 'hex') }, false],
    [
      'signed=https://a.example/in{body}é',
      { 'x-signature': digest('sha256', 'hex', 'https://a.example/in', 'é') },
    ],
    [
      'signed={timestamp}.{body},timestamp-header=X-At',
      { 'x-at': `${AT}`, 'x-signature': digest('sha256', 'hex', `${AT}.`) },
    ],
    [
      'signed={timestamp}.{body},timestamp-header=X-At',
      { 'x-at': `${AT}123`, 'x-signature': digest('sha256', 'hex', `${AT}123.`) },
    ],
    [
      'signed={timestamp}{body},timestamp-header=X-At',
      { 'x-at': '2023-11-14T22:13:20Z', 'x-signature': digest('sha256', 'hex', '2023-11-14T22:13:20Z') },
    ],
    [
      'signed={timestamp}{body},timestamp-header=X-At',
      {
        'x-at': '2023-11-14T22:13:20.5+01:00',
        'x-signature': digest('sha256', 'hex', '2023-11-14T22:13:20.5+01:00'),
      },
      false,
    ],
    [
      'signed={timestamp}{body},timestamp-header=X-At',
      { 'x-at': 'now', 'x-signature': digest('sha256', 'hex', 'now') },
      false,
    ],
    ['signed={timestamp}{body},timestamp-header=X-At', { 'x-signature': digest('sha256', 'hex') }, false],
    [
      'signed={timestamp}{body},timestamp-header=X-At',
      { 'x-at': `+${AT}`, 'x-signature': digest('sha256', 'hex', `+${AT}`) },
      false,
    ],
  ] as const)
    t.equal(
      takes(open(t, 'hmac', ['s'], AT, `,${settings}`.replace(/,$/, '')), headers, body),
      isGood,
      settings,
    );
  t.end();
});

void t.test('secrets that are missing or wrong stop the start, and are not shown', (t) => {
  const file = (text: string): string => {
    const path = secretFile(t);
    writeFileSync(path, text);
    return path;
  };
  const key = publicKeyOf('VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=');
  for (const [settings, message] of [
    ['format=github', /^"secret-file" of the source hook is missing/],
    [
      `format=github,unsigned=on,secret-file=${file('s')}`,
      /"secret-file" and "unsigned" of the source hook exclude/,
    ],
    [
      `format=github,secret-file=${file('\n \n')}`,
      /\("secret-file" of the source hook\) cannot be read: it has no secret$/,
    ],
    ['format=github,secret-file=/none/here', /cannot be read: ENOENT/],
    [
      `format=standard-webhooks,secret-file=${file(`${SECRET}\nhunter2!\n`)}`,
      /line 2 must be whsec_ and base64, or whpk_ and base64$/,
    ],
    [`format=standard-webhooks,secret-file=${file('whsec_')}`, /line 1 must be whsec_/],
    [
      `format=standard-webhooks,secret-file=${file('whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')}`,
      /line 1 must be whsec_/,
    ],
    [
      `format=standard-webhooks,secret-file=${file(key.slice(0, -4))}`,
      /line 1 must be an Ed25519 key of 32 bytes$/,
    ],
    [
      `format=hmac,secret-file=${file('s')},signed=body`,
      /"signed" of the source hook must have \{body\} once/,
    ],
    [`format=hmac,secret-file=${file('s')},signed={body}{body}`, /must have \{body\} once/],
    [
      `format=hmac,secret-file=${file('s')},signed={timestamp}{body}`,
      /"timestamp-header" and \{timestamp\} .* need each other/,
    ],
    [
      `format=hmac,secret-file=${file('s')},timestamp-header=x-at`,
      /"timestamp-header" and \{timestamp\} .* need each other/,
    ],
    [`format=stripe,secret-file=${file('s')},tolerance=0`, /"tolerance" of the source hook must be/],
    [`format=stripe,secret-file=${file('s')},prefix=x`, /Unknown setting "prefix" of the source hook/],
  ] as const) {
    t.throws(() => openSource(t, `hook=/x,${settings}`), { code: 'SETTING_INVALID', message }, settings);
    t.throws(() => openSource(t, `hook=/x,${settings}`), { message: /^(?!.*(?:hunter2|MfKQ9))/ });
  }
  const open = openSource(t, 'hook=/x,format=github,unsigned=on');
  t.notOk('verify' in open, 'anyone may send');
  t.end();
});

void t.test('a secret is exchanged while requests come', async (t) => {
  const path = secretFile(t, 'old');
  const warned: object[] = [];
  const logger: Logger = {
    ...silentLogger,
    warn: (fields, text) => warned.push({ ...fields, text }),
  };
  const source = openSource(t, `hook=/in/hook,format=github,secret-file=${path}`, { logger });
  const { connect, sink, server } = await openRaw(t, { sources: [source] });
  const client = await connect();
  let sent = 0;
  const accepted: string[] = [];
  const statusOf = async (secret: string): Promise<number> => {
    const id = `${secret}-${sent++}`;
    const headers = SENDERS['github']?.headers(id, '{}', secret, AT) ?? {};
    await client.send(post({ ...headers, 'Content-Length': 2 }, '{}', source.path));
    const { status } = await client.answer();
    if (status === 202) accepted.push(id);
    return status;
  };
  const isTaken =
    (secret: string, status = 202) =>
    async (): Promise<boolean> =>
      (await statusOf(secret)) === status;
  t.equal(await statusOf('old'), 202);
  t.equal(await statusOf('new'), 401);
  writeFileSync(path, 'old\nnew\n');
  await until(isTaken('new'), 'the new one is taken');
  t.equal(await statusOf('old'), 202, 'and the old one still');
  writeFileSync(path, 'new\n');
  await until(isTaken('old', 401), 'the old one is no longer');
  t.equal(await statusOf('new'), 202);
  t.same(warned, []);
  rmSync(path);
  await until(() => warned.length === 1, 'a file that is gone is reported');
  t.match(warned, [{ code: 'SETTING_STALE', text: /ENOENT.*; its last content is used as before$/ }]);
  t.equal(await statusOf('new'), 202);
  writeFileSync(path, '\n');
  await until(() => warned.length === 2, 'one without a secret, too');
  t.match(warned[1], { text: /it has no secret; its last content is used as before$/ });
  t.equal(await statusOf('new'), 202);
  t.equal(server.handedOverConnections, 0);
  await sink.received(accepted.length);
  t.same(ids(sink.lines).toSorted(), accepted.toSorted(), 'what was refused is not delivered');
});

void t.test('the bytes that were sent are signed, in front of their coding', async (t) => {
  const source = open(t, 'github', [SECRET]);
  const { connect, sink } = await openRaw(t, { sources: [source] });
  const text = '{\n  "a": 1.0\n}';
  const coded = gzipSync(text);
  for (const [signed, status] of [
    [coded, 202],
    [Buffer.from(text), 401],
  ] as const) {
    const headers = SENDERS['github']?.headers('a', signed, SECRET, AT) ?? {};
    const client = await connect();
    const head = post(
      { ...headers, 'Content-Encoding': 'gzip', 'Content-Length': coded.length },
      '',
      source.path,
    );
    await client.send(Buffer.concat([Buffer.from(head), coded]));
    t.equal((await client.answer()).status, status);
  }
  await sink.received(1);
  t.match(JSON.parse(sink.lines[0] ?? ''), { id: 'a', type: 'ping', data: { a: 1 }, body: text });
});
