/** Node.js has these from version 22.15 and 23.8 on. */
declare module 'zlib' {
  interface ZstdOptions {
    readonly finishFlush?: number;
    readonly maxOutputLength?: number;
    readonly params?: Readonly<Record<number, number>>;
  }
  type ZstdCall = (
    bytes: Uint8Array,
    options: ZstdOptions,
    done: (error: Error | null, result: Buffer<ArrayBuffer>) => void,
  ) => void;
  export const zstdCompress: ZstdCall | undefined;
  export const zstdDecompress: ZstdCall | undefined;
}
