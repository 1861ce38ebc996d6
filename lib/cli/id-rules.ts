import { idRuleOf } from '../seams/id-store.js';
import type { IdRule } from '../seams/id-store.js';
import type { Source } from '../seams/source.js';
import { placeOf } from '../seams/source-kind.js';
import { invalid } from '../settings/setting-error.js';
import type { ServerSettings } from './server-settings.js';

/**
 * The id windows of the sources of a server. Workers have none: an event that comes again may come to another one.
 *
 * @throws ForebayError `SETTING_INVALID`
 */
export function idRulesOf(sources: readonly Source[], settings: ServerSettings): readonly IdRule[] {
  const ofEvents = idRuleOf(settings);
  const isAlone = settings.workers === 1;
  if (!isAlone && ofEvents.windowMs > 0) throw invalid(notWithWorkers('--id-window'));
  return sources.flatMap(({ name, idWindowMs = null, idWindowDefaultMs = null, idConflict = null }) => {
    if (!isAlone && (idWindowMs ?? 0) > 0) throw invalid(notWithWorkers(`"id-window" of ${placeOf(name)}`));
    const ofKind = name === ofEvents.source ? ofEvents.windowMs : (idWindowDefaultMs ?? 0);
    const windowMs = idWindowMs ?? (isAlone ? ofKind : 0);
    return windowMs > 0 ? [{ source: name, windowMs, conflict: idConflict ?? ofEvents.conflict }] : [];
  });
}

function notWithWorkers(setting: string): string {
  return `${setting} goes with --workers 1 only: an event that comes again may come to another worker`;
}
