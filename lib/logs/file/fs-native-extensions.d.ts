declare module 'fs-native-extensions' {
  /** Takes a lock on an open file, exclusive unless it is `shared`; `false` if another holder has it. */
  export function tryLock(fd: number, options?: { readonly shared: boolean }): boolean;
}
