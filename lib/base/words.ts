/** `1 event`, `2 events`; the plural of some nouns is not only an s. */
export function count(number: number, noun: string, plural = `${noun}s`): string {
  return `${number} ${number === 1 ? noun : plural}`;
}
