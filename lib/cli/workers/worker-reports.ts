import type { Door } from '../../door/door.js';
import { noDoor } from '../../door/door.js';
import type { Forebay } from '../../forebay.js';
import { FamiliesReader, leftoversRead } from '../../observe/metrics/metrics-route.js';
import { OwnReports } from '../../observe/together/own-reports.js';

/** What a worker says of itself. */
export function workerReports(forebay: Forebay, door: Door): OwnReports {
  const families = new FamiliesReader({ forebay, door });
  return new OwnReports(forebay, door, async () => families.read());
}

/** What is said of a log without a door, whose leftovers are delivered. */
export function leftoverReports(forebay: Forebay): OwnReports {
  return new OwnReports(forebay, noDoor(forebay), async () => (await leftoversRead([forebay])).flat());
}
