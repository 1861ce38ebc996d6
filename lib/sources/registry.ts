import { events } from './events/events-source.js';
import type { Source } from '../seams/source.js';

/** All sources, by the order in which metrics list them. */
export const SOURCES: readonly Source[] = [events];
