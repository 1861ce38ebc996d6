/** Whether an answer is here whole. The body of each is one JSON object in one piece, Forebay's with a line feed. */
export function isWhole(answer: string): boolean {
  return answer.includes('\r\n\r\n') && (answer.endsWith('}\n') || answer.endsWith('}'));
}
