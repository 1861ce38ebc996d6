/** `1 event`, `2 events`; pass the plural if it is irregular. */
export function count(number: number, noun: string, plural = `${noun}s`): string {
  return `${number} ${number === 1 ? noun : plural}`;
}
