import t from 'tap';
import { bodyFormat } from '../../lib/sources/media-type.js';

void t.test('a media type is read as RFC 9110 has it', (t) => {
  const types: Record<string, 'json' | 'ndjson' | null> = {
    'application/json; charset=utf8': 'json',
    'application/json; charset=us-ascii': 'json',
    'application/json;charset="UTF-8"': 'json',
    'application/json; charset=utf-8; version=1': 'json',
    'application/json; profile="a;b=\\"c"': 'json',
    'application/json;': 'json',
    'application/json ; ; ': 'json',
    'Application/CloudEvents+JSON; charset=utf-8': 'json',
    'application/x-ndjson;v=1': 'ndjson',
    'application/json; charset=utf-16': null,
    'application/json; charset=utf-8; charset=latin1': null,
    'application/json; v=1; CHARSET="iso-8859-1"': null,
    'application/json charset=utf-8': null,
    'application/json; charset = utf-8': null,
    'application/json, text/plain': null,
    'text/json': null,
    json: null,
    '': null,
  };
  for (const [type, format] of Object.entries(types)) t.equal(bodyFormat(type), format, type);
  t.equal(bodyFormat(undefined), null);
  // one reading of it only: no time that grows with the ways to read it
  t.equal(bodyFormat(`application/json${'; '.repeat(8000)}!`), null);
  t.end();
});
