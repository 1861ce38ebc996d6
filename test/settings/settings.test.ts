import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import t from 'tap';
import { DEAD_LETTERS_TOOL } from '../../tools/dead-letters/tool.js';
import { KEYS_TOOL } from '../../tools/keys/tool.js';
import { settingsOf } from '../../tools/log/program.js';
import { LOG_TOOL } from '../../tools/log/tool.js';
import { PRODUCER_SETTINGS } from '../../tools/producer/producer-settings.js';
import { LOG_PLACE_SETTINGS, streamFlags } from '../../lib/settings/log-settings.js';
import {
  fromObject,
  helpText,
  readCommand,
  readOptions,
  variableName,
} from '../../lib/settings/option-table.js';
import { checkRelations, SERVER_SETTINGS } from '../../lib/cli/server-settings.js';
import type { ServerSettings } from '../../lib/cli/server-settings.js';
import { tempDir } from '../helpers/temp-dir.js';

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
    [['--port'], {}, /^--port needs a value$/],
    [['--port', '--page', 'off'], {}, /^--port needs a value$/],
    [['--port', '--', '1'], {}, /^Unexpected argument 1: nothing may come after --$/],
    [['--port', '-1'], {}, /^Unknown flag -1$/],
    [['--port=-1'], {}, /^--port must be a whole number from 0 to 65535, not "-1"$/],
    [['--port='], {}, /^--port needs a value$/],
    [['--sink-header'], {}, /^--sink-header needs a value$/],
    [['--config'], {}, /^--config needs a value$/],
    [['--port=1', '2'], {}, /^Unexpected argument 2$/],
    [['--port=1', '--port', '2'], {}, /^--port is given more than once$/],
    [['--sink-gzip', '--sink-gzip'], {}, /^--sink-gzip is given more than once$/],
    [['--sink-gzip', '--no-sink-gzip'], {}, /^--sink-gzip is given more than once$/],
    [['--help', 'extra'], {}, /^Unexpected argument extra$/],
    [['--', 'extra'], {}, /^Unexpected argument extra: nothing may come after --$/],
    [['--', '--port=5'], {}, /^Unexpected argument --port: nothing may come after --$/],
    [['--page', 'off', '--', '--page', 'on'], {}, /^Unexpected argument --page: nothing may come after --$/],
    [['-port', '1'], {}, /^Unknown flag -port: did you mean --port\?$/],
    [['-version'], {}, /^Unknown flag -version: did you mean --version\?$/],
    [['--no-sink-gzpi'], {}, /^Unknown flag --no-sink-gzpi: did you mean --no-sink-gzip\?$/],
    [['--no-prot'], {}, /^Unknown flag --no-prot: did you mean --port\?$/],
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
    [
      ['--sink-concurrency', 'auto'],
      {},
      /^--sink-concurrency must be a whole number .* 1000: "auto" was removed, not "auto"$/,
    ],
    [
      ['--sink-concurrency-max=8'],
      {},
      /^Unknown flag --sink-concurrency-max: it was removed; give --sink-con/,
    ],
    [
      [],
      { FOREBAY_SINK_CONCURRENCY_MAX: '8' },
      /^Unknown environment .*_MAX: it was removed; give --sink-con/,
    ],
    [['--allowed-origins=*'], {}, /^Unknown flag --allowed-origins: it was removed; use --cors-origin$/],
    [[], { FOREBAY_ALLOWED_ORIGINS: '*' }, /^Unknown environment .*_ORIGINS: it was removed; use --cors-/],
    [
      ['--sink-file-rotate-bytes', '1MiB'],
      {},
      /^Unknown flag .*: it was removed; let logrotate rotate the file$/,
    ],
    [
      ['--no-sink-file-gzip'],
      {},
      /^Unknown flag --no-sink-file-gzip: it was removed; let logrotate rotate and/,
    ],
    [[], { FOREBAY_SINK_FILE_ROTATE_AFTER: '1h' }, /_ROTATE_AFTER: it was removed; let logrotate rotate/],
    [['--sink-failure-rate', '2'], {}, /^--sink-failure-rate must be a number from 0 to 1/],
    [['--no-port'], {}, /^Unknown flag --no-port: --port takes a value$/],
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
    ['{', /settings.json \(--config\) is not valid JSON \(line 1\)$/],
    ['{\n"port": 1,\n}', /is not valid JSON \(line 3\)$/],
    ['[]', /must hold a JSON object/],
    ['{"sink-concurrency-max":1}', /^Unknown setting "sink-concurrency-max" in .*: it was removed; give /],
    ['{"prot":1}', /^Unknown setting "prot" in .*settings.json: did you mean "port"\?$/],
    ['{"port":"x"}', /^"port" in .*settings.json must be a whole number from 0 to 65535, not "x"$/],
  ] as const) {
    writeFileSync(file, content);
    t.throws(() => read(['--config', file]), { code: 'SETTING_INVALID', message }, content);
  }
  t.end();
});

const ON_OFF = Object.values(SERVER_SETTINGS)
  .map(({ flag, initial }) => ({ flag, initial }))
  .filter(({ initial }) => initial === false)
  .map(({ flag }) => flag);

void t.test('a flag that is on or off goes before the variable and the file, also as off', (t) => {
  const file = join(tempDir(t), 'settings.json');
  t.same(ON_OFF, [
    'require-keys',
    'discard-backlog',
    'log-order',
    'sink-gzip',
    'sink-create-table',
    'help',
    'version',
  ]);
  const valueOf = (flag: string, argv: string[], environment: Record<string, string>): unknown => {
    const values = Object.entries(readOptions(SERVER_SETTINGS, argv, environment));
    const key = Object.entries(SERVER_SETTINGS).find(([, option]) => option.flag === flag)?.[0];
    return values.find(([each]) => each === key)?.[1];
  };
  for (const flag of ON_OFF) {
    const variable = variableName(flag);
    for (const [argv, isOn] of [
      [[`--${flag}=false`], false],
      [[`--no-${flag}`], false],
      [[`--${flag}`], true],
      [[`--${flag}=true`], true],
    ] as const) {
      for (const other of ['true', 'false']) {
        writeFileSync(file, JSON.stringify({ [flag]: other === 'true' }));
        t.equal(valueOf(flag, [...argv], { [variable]: other }), isOn, `${argv[0]}, variable ${other}`);
        t.equal(valueOf(flag, [...argv, '--config', file], {}), isOn, `${argv[0]}, file ${other}`);
      }
    }
    writeFileSync(file, JSON.stringify({ [flag]: true }));
    t.equal(valueOf(flag, ['--config', file], { [variable]: 'false' }), false, `${variable} before the file`);
  }
  t.end();
});

void t.test('what is on or off is true or false, and nothing else turns it on', (t) => {
  const file = join(tempDir(t), 'settings.json');
  for (const flag of ON_OFF) {
    const variable = variableName(flag);
    for (const word of ['no', 'off', '0', 'yes', 'on', '1', '', 'TRUE', 'flase']) {
      const message = (as: string): string => `${as} must be true or false, not ${JSON.stringify(word)}`;
      t.throws(() => readOptions(SERVER_SETTINGS, [`--${flag}=${word}`]), {
        code: 'SETTING_INVALID',
        message: message(`--${flag}`),
      });
      t.throws(() => readOptions(SERVER_SETTINGS, [], { [variable]: word }), {
        code: 'SETTING_INVALID',
        message: message(variable),
      });
      writeFileSync(file, JSON.stringify({ [flag]: word }));
      t.throws(() => readOptions(SERVER_SETTINGS, ['--config', file]), {
        code: 'SETTING_INVALID',
        message: message(`"${flag}" in ${file}`),
      });
    }
    t.throws(() => readOptions(SERVER_SETTINGS, [`--no-${flag}=false`]), {
      code: 'SETTING_INVALID',
      message: `--no-${flag} takes no value`,
    });
  }
  t.end();
});

void t.test('-h and -v are --help and --version, in each table', (t) => {
  for (const table of [
    SERVER_SETTINGS,
    PRODUCER_SETTINGS,
    settingsOf(LOG_TOOL),
    settingsOf(DEAD_LETTERS_TOOL),
    settingsOf(KEYS_TOOL),
  ]) {
    t.match(readOptions(table, ['-h']), { help: true, version: false });
    t.match(readOptions(table, ['-v']), { help: false, version: true });
    t.match(readOptions(table, ['-hv']), { help: true, version: true });
    t.throws(() => readOptions(table, ['-hx']), { code: 'SETTING_INVALID', message: 'Unknown flag -hx' });
  }
  t.end();
});

void t.test('a tool that takes words gets those after -- as words, too', (t) => {
  const read = (...argv: string[]): unknown => readCommand(settingsOf(DEAD_LETTERS_TOOL), argv);
  t.match(read('show', '--reason', 'x', 'a', '--', '--json', '-h'), {
    words: ['show', 'a', '--json', '-h'],
    settings: { reason: 'x', json: false, help: false },
  });
  t.match(read('ls', '--no-json'), { words: ['ls'], settings: { json: false } });
  t.match(read('ls', '--json', 'true'), { words: ['ls'], settings: { json: true } });
  t.throws(() => read('ls', '--reason'), { message: '--reason needs a value' });
  t.throws(() => read('ls', '--reason', 'a', '--reason', 'b'), {
    message: '--reason is given more than once',
  });
  t.end();
});

void t.test('a key that stands twice in the file is refused by its name', (t) => {
  const file = join(tempDir(t), 'settings.json');
  const cases: [string, string | null][] = [
    ['{"port":1,"port":2}', '"port"'],
    ['{"port" : 1, "host": "x", "p\\u006frt"\n:1}', '"port"'],
    ['{"sink-header":{"A":"s3cret","B":[{"A":1}],"A":"s3cret"}}', '"A"'],
    ['{"sink-header":[{"A":1},{"B":1,"B":2}]}', '"B"'],
    ['{"__proto__":1,"__proto__":2}', '"__proto__"'],
    ['{"sink-header":[{"A":1},{"A":1}]}', null],
    ['{"sink-header":"{\\"port\\":1,\\"port\\":2}","port":1}', null],
    ['{"host":"port","log-dir":"port","port":1}', null],
  ];
  for (const [content, key] of cases) {
    writeFileSync(file, content);
    const error = thrownBy(() => read(['--config', file]));
    if (key === null) t.notMatch(error, { message: /twice/ }, content);
    else {
      const message = `The file ${file} (--config) has the key ${key} twice in one object`;
      t.match(error, { code: 'SETTING_INVALID', message }, content);
    }
    t.notMatch(inspect(error), /s3cret/);
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
    [['--no-sink-url=s3cret'], {}, /^Unknown flag --no-sink-url: did you mean --sink-url\?$/],
    [['--', '--sink-url=s3cret'], {}, /^Unexpected argument --sink-url: nothing may come after --$/],
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
    [`{"sink-header":'s3cret'}`, /is not valid JSON/],
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

void t.test('a stream is found by what differs from the defaults, without what is secret', (t) => {
  const flags = (given: object): string[] =>
    streamFlags(fromObject(LOG_PLACE_SETTINGS, { log: 'jetstream', ...given }));
  t.same(flags({}), ['--log', 'jetstream']);
  const logUrl = "nats://o'hara:p@ss@a:4222, tls://t0ken@b:4222,nats://c:4222";
  t.same(flags({ logUrl, logName: 'orders', logCreds: '/etc/my creds' }), [
    '--log',
    'jetstream',
    '--log-url',
    'nats://a:4222,tls://b:4222,nats://c:4222',
    '--log-name',
    'orders',
    '--log-creds',
    '/etc/my creds',
  ]);
  t.end();
});
