import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import t from 'tap';
import { helpText, readOptions, variableName } from '../lib/settings/option-table.js';
import { checkRelations, SERVER_SETTINGS } from '../lib/settings/server-settings.js';
import type { ServerSettings } from '../lib/settings/server-settings.js';
import { tempDir } from './helpers/temp-dir.js';

const read = (argv: string[], environment: Record<string, string> = {}): ServerSettings => {
  const settings = readOptions(SERVER_SETTINGS, argv, environment);
  checkRelations(settings);
  return settings;
};

function thrownBy(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return null;
}

void t.test('without being set, each setting has the default of the design', (t) => {
  t.match(read([]), {
    port: 8081,
    host: '127.0.0.1',
    queueSize: 10_000,
    batchSize: 100,
    batchWaitMs: 1000,
    logDir: 'append-log',
    sink: 'simulated',
    sinkConcurrency: 1,
    sinkConcurrencyMax: 64,
    sinkTriesMax: null,
    fsync: 'always',
    replayWaitMs: 30_000,
    bodyBytesMax: 2 ** 24,
    eventBytesMax: 2 ** 20,
  });
  t.end();
});

void t.test('a flag goes before a variable, a variable before the file, the file before the default', (t) => {
  const file = join(tempDir(t), 'settings.json');
  writeFileSync(file, JSON.stringify({ port: 1, 'batch-size': 1, 'queue-size': 1 }));
  const environment = { FOREBAY_PORT: '2', FOREBAY_BATCH_SIZE: '2', FOREBAY_CONFIG: file, HOME: '/' };
  t.match(read(['--port', '3'], environment), { port: 3, batchSize: 2, queueSize: 1, batchWaitMs: 1000 });
  t.match(read(['--config', file]), { port: 1 });
  t.end();
});

void t.test('values are read by their kind', (t) => {
  t.match(read(['--fsync=never']), { fsync: 'never' });
  t.match(read(['--fsync', '50']), { fsync: 50 });
  t.match(read(['--body-max', '64KiB']), { bodyBytesMax: 65_536 });
  t.match(read(['--batch-wait', '2s', '--replay-wait', '1h', '--sink-timeout', '15m']), {
    batchWaitMs: 2000,
    replayWaitMs: 3_600_000,
    sinkTimeoutMs: 900_000,
  });
  t.match(read(['--batch-wait', '7ms', '--request-timeout', '2d']), {
    batchWaitMs: 7,
    requestTimeoutMs: 172_800_000,
  });
  t.match(read(['--batch-wait', '2min']), { batchWaitMs: 120_000 });
  t.match(read(['--sink-failure-rate', '0.25']), { sinkFailureRate: 0.25 });
  t.match(
    read(['--sink', 'file', '--sink-file', '007']),
    { sinkFile: '007' },
    'a name like a number stays a text',
  );
  t.match(read(['--help']), { help: true, version: false });
  t.end();
});

void t.test('a directory is the same for all who use its path, also behind a symbolic link', (t) => {
  t.equal(read(['--log-dir', 'current/../log']).logDir, './log');
  t.equal(read(['--log-dir', '../log']).logDir, '../log');
  t.equal(read([]).logDir, './append-log', 'as the log says it');
  t.equal(read(['--log-dir', '/var/lib/./forebay/']).logDir, '/var/lib/forebay/');
  t.end();
});

void t.test('an unknown or malformed setting is refused by its name', (t) => {
  const file = join(tempDir(t), 'settings.json');
  const cases: [string[], Record<string, string>, RegExp][] = [
    [['--batchsize', '1'], {}, /^Unknown flag --batchsize: did you mean --batch-size\?$/],
    [['--batch_wiat=1'], {}, /^Unknown flag --batch_wiat: did you mean --batch-wait\?$/],
    [['--no-such-thing-here'], {}, /^Unknown flag --no-such-thing-here$/],
    [['-p', '1'], {}, /^Unknown flag -p$/],
    [['extra'], {}, /^Unexpected argument extra$/],
    [['--port', '1', '--port', '2'], {}, /^--port is given more than once$/],
    [['--port'], {}, /^--port must be a whole number from 0 to 65535, not ""$/],
    [['--port', '65536'], {}, /^--port must be .*, not "65536"$/],
    [['--batch-size', '0'], {}, /^--batch-size must be a whole number of at least 1/],
    [['--batch-size', '1.5'], {}, /^--batch-size/],
    [['--batch-size', '1e3'], {}, /^--batch-size/],
    [['--batch-wait', '99999999999'], {}, /^--batch-wait/],
    [['--batch-wait', '30d'], {}, /^--batch-wait must be .* from 1 to 2147483647, or a time like 30s/],
    [['--batch-wait', '0s'], {}, /^--batch-wait/],
    [['--batch-wait', '1.5s'], {}, /^--batch-wait/],
    [['--batch-wait', '1 s'], {}, /^--batch-wait/],
    [['--fsync', 'sometimes'], {}, /^--fsync must be "always", "never" or /],
    [['--body-max', '1 potato'], {}, /^--body-max must be a number of bytes/],
    [['--sink', 'kafka'], {}, /^--sink must be one of simulated, file, stdout, http, postgres, not "kafka"$/],
    [['--sink-failure-rate', '2'], {}, /^--sink-failure-rate must be a number from 0 to 1/],
    [['--no-port'], {}, /^--port must be/],
    [['--sink', 'file'], {}, /^--sink file needs --sink-file/],
    [['--sink-file', 'x'], {}, /^--sink-file goes with --sink file/],
    [['--queue-bytes', '1MiB'], {}, /^--body-max must be smaller than --queue-bytes/],
    [['--request-timeout', '5'], {}, /^--headers-timeout must not be above/],
    [[], { FOREBAY_PROT: '1' }, /^Unknown environment variable FOREBAY_PROT: did you mean FOREBAY_PORT\?$/],
    [[], { FOREBAY_PORT: 'tcp://10.0.0.1:80' }, /^FOREBAY_PORT must be a whole number/],
    [['--config', join(file, 'none')], {}, /settings.json\/none \(--config\) cannot be read: ENOTDIR|ENOENT/],
  ];
  for (const [argv, environment, message] of cases) {
    t.throws(() => read(argv, environment), { code: 'SETTING_INVALID', message }, message.source);
  }
  for (const [content, message] of [
    ['{', /settings.json \(--config\) cannot be read: it is no JSON, see line 1$/],
    ['{\n"port": 1,\n}', /it is no JSON, see line 3$/],
    ['[]', /must hold a JSON object/],
    ['{"prot":1}', /^Unknown setting "prot" in .*settings.json: did you mean "port"\?$/],
    ['{"port":"x"}', /^"port" in .*settings.json must be a whole number from 0 to 65535, not "x"$/],
  ] as const) {
    writeFileSync(file, content);
    t.throws(() => read(['--config', file]), { code: 'SETTING_INVALID', message }, content);
  }
  t.end();
});

void t.test('a secret that is given wrongly is not shown', (t) => {
  const file = join(tempDir(t), 'settings.json');
  const cases: [string[], Record<string, string>, RegExp][] = [
    [['--unknown=s3cret'], {}, /^Unknown flag --unknown$/],
    [['--unknown=a\n=s3cret'], {}, /^Unknown flag --unknown$/],
    [['-x=s3cret'], {}, /^Unknown flag -x$/],
    [['--unknown', 's3cret'], {}, /^Unknown flag --unknown$/],
    [[], { FOREBAY_UNKNOWN: 's3cret' }, /^Unknown environment variable FOREBAY_UNKNOWN$/],
    [['--sink-url', 'http//x:s3cret@y'], {}, /^--sink-url must be a URL/],
    [[], { FOREBAY_SINK_URL: 'x:s3cret@y' }, /^FOREBAY_SINK_URL must be a URL/],
    [['--sink-header', 's3cret'], {}, /^--sink-header must be "Name: value"$/],
    [
      ['--sink-header', 'X: 1', '--sink-header', 'X: s3cret\u0000'],
      {},
      /^--sink-header must be "Name: value"$/,
    ],
    [[], { FOREBAY_SINK_HEADER: 's3cret' }, /^FOREBAY_SINK_HEADER must be "Name: value"$/],
  ];
  const contents: [string, RegExp][] = [
    ['{"sink-header":{"Authorization":"s3cret"}}', /^"sink-header" in .* must be "Name: value", or a list/],
    ['{"sink-header":[{"Authorization":"s3cret"}]}', /must be "Name: value", or a list/],
    ['{"sink-header":[["Authorization: s3cret"]]}', /must be "Name: value", or a list/],
    ['{"sink-header":"s3cret"}', /must be "Name: value"$/],
    ['{"sink-url":["http://x:s3cret@y"]}', /^"sink-url" in .* must be a URL like https:\/\/host\/path$/],
    ['{"sink-url":{"href":"http://x:s3cret@y"}}', /must be a URL/],
    [`{"sink-header":'s3cret'}`, /it is no JSON/],
    ['{"unknown":"s3cret"}', /^Unknown setting "unknown" in /],
  ];
  const check = (argv: string[], environment: Record<string, string>, message: RegExp): void => {
    const error = thrownBy(() => read(argv, environment));
    t.match(error, { code: 'SETTING_INVALID', message });
    t.notMatch(inspect(error), /s3cret/, message.source);
  };
  for (const [argv, environment, message] of cases) check(argv, environment, message);
  for (const [content, message] of contents) {
    writeFileSync(file, content);
    check(['--config', file], {}, message);
  }
  writeFileSync(file, '{"sink":"http","sink-url":"http://x","sink-header":["A: 1","B: 2\\nC: 3"]}');
  t.same(read(['--config', file]).sinkHeader, { A: '1', B: '2', C: '3' }, 'as it is meant');
  t.end();
});

void t.test('the help text has every flag, with its default', (t) => {
  const help = helpText(SERVER_SETTINGS, true);
  for (const { flag, initial } of Object.values(SERVER_SETTINGS)) {
    const line = help.split('\n').find((each) => each.trimStart().split(' ', 1)[0] === `--${flag}`);
    t.ok(line, flag);
    if (initial !== null && initial !== false) t.ok(line?.endsWith(`(${initial})`), flag);
  }
  t.equal(variableName('batch-wait'), 'FOREBAY_BATCH_WAIT');
  t.end();
});
