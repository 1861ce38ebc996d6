import { placeOf } from '../seams/source-kind.js';
import type { SourceContext, SourceKind } from '../seams/source-kind.js';
import type { Source } from '../seams/source.js';
import { unknown } from '../settings/unknown.js';
import { invalid } from '../settings/setting-error.js';
import type { DeclaredSource } from '../settings/source-settings.js';
import { cloudeventsKind } from './cloudevents/cloudevents-source.js';
import { events, eventsKind } from './events/events-source.js';
import { WEBHOOK_KINDS } from './webhook/webhook-kinds.js';

/** The kinds of sources. To add one: its folder, and here its name. */
export const SOURCE_KINDS: readonly SourceKind[] = [eventsKind, cloudeventsKind, ...WEBHOOK_KINDS];

/** The sources of a server that declares none. */
export const SOURCES: readonly Source[] = [events];

/**
 * Opens the declared sources, and those of `SOURCES` that are neither declared nor switched off.
 *
 * @throws ForebayError `SETTING_INVALID`
 */
export function openSources(declared: readonly DeclaredSource[], context: SourceContext): readonly Source[] {
  const names = new Set(declared.map(({ name }) => name));
  const sources = [
    ...SOURCES.filter(({ name }) => !names.has(name)),
    ...declared.filter(({ given }) => given !== false).map((each) => kindOf(each).open(each, context)),
  ];
  const paths = new Map<string, string>();
  for (const { name, path } of sources) {
    const other = paths.get(path);
    if (other !== undefined) throw invalid(`The sources ${other} and ${name} have the same path, ${path}`);
    paths.set(path, name);
  }
  if (sources.length === 0) throw invalid('No source is left: nothing could be sent');
  return sources;
}

function kindOf({ name, given }: DeclaredSource): SourceKind {
  const format = given === false ? undefined : given['format'];
  const kinds = SOURCE_KINDS.map((kind) => kind.name);
  if (format === undefined && !kinds.includes(name))
    throw invalid(`"format" of ${placeOf(name)} is missing: one of ${kinds.join(', ')}`);
  const kind = SOURCE_KINDS.find((each) => each.name === (format ?? name));
  if (kind !== undefined) return kind;
  throw unknown('format', JSON.stringify(format), kinds, (like) => `"${like}"`, ` of ${placeOf(name)}`);
}
