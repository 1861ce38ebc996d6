/**
 * `accepted = delivered + deadLettered + quarantined + pending`, at any moment. These are events that were stored;
 * duplicates were not, and are beside them.
 */
export interface EventCounts {
  /** Acknowledged in this run, or read from a batch file that an earlier run left. */
  readonly accepted: number;
  /** Confirmed by the sink, and off the disk. */
  readonly delivered: number;
  /** Set aside with the sink's reason. */
  readonly deadLettered: number;
  /** Found damaged on disk and set aside, or missing on it; 0 on a sound disk. */
  readonly quarantined: number;
  /** On disk, neither confirmed nor set aside. */
  readonly pending: number;
  /** Batches of earlier runs that are on disk and not read yet: their events are not in the numbers above. */
  readonly unreadBatches: number;
  /** Answered with success in this run and not stored, as their ids were within the id window. */
  readonly duplicates: number;
}
