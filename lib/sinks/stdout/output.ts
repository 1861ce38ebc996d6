/** What takes bytes in order, one write after another. */
export interface Output {
  /** Whether the last write has failed when some of its bytes had gone out, and perhaps not all. */
  readonly isCut: boolean;
  /** Resolves when the system has taken all of it. */
  write(bytes: Buffer, signal: AbortSignal): Promise<void>;
  /** A write that runs may be cut short. */
  close(): void;
}
