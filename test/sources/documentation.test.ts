import { readFileSync } from 'node:fs';
import t from 'tap';
import { WEBHOOK_KINDS } from '../../lib/sources/webhook/webhook-kinds.js';

const page = readFileSync('docs/sources.md', 'utf8');
const sections = new Map(
  page.split(/^## /m).map((section): [string, string] => [section.slice(0, section.indexOf('\n')), section]),
);

/** The rows of the table of a section, by setting. */
function rowsOf(section: string): ReadonlyMap<string, readonly string[]> {
  const rows = (sections.get(section) ?? '').matchAll(/^\| `([a-z-]+)` *\|(.*)\|$/gm);
  return new Map(
    [...rows].map(([, setting = '', rest = '']) => [
      setting,
      rest.split('|').map((cell) => cell.replaceAll('`', '').trim()),
    ]),
  );
}

void t.test('docs/sources.md has each kind of webhook as --help shows it, with its settings', (t) => {
  const shared = new Map(['webhook', 'Signatures', 'hmac'].flatMap((section) => [...rowsOf(section)]));
  for (const { name, flag = '', curl, settings } of WEBHOOK_KINDS) {
    const section = sections.get(name) ?? '';
    for (const line of [`node bin/server.js ${flag}`, curl]) t.ok(section.includes(`\n${line}\n`), line);
    const own = new Map(rowsOf(name));
    for (const { flag: setting, initial, unit, help } of Object.values(settings)) {
      const usual = shared.get(setting) ?? [];
      t.same(usual.slice(1), [unit.replaceAll('|', ' or '), help.replaceAll('`', '')], setting);
      t.equal((own.get(setting) ?? usual)[0], String(initial ?? ''), `${name}: ${setting}`);
      own.delete(setting);
    }
    t.same([...own.keys()], [], 'no other is explained');
  }
  t.end();
});
