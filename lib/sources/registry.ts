import { events } from './events/events-source.js';
import type { Source } from '../seams/source.js';

/** All sources, in the order of the metrics. */
export const SOURCES: readonly Source[] = [events];
