declare module 'fs-native-extensions' {
  /** Takes an exclusive lock on an open file; `false` where another holder has it. */
  export function tryLock(fd: number): boolean;
}
