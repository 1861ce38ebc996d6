/**
 * Text from elsewhere, as a terminal or a log may have it: control characters steer a terminal, and those of
 * bidirectional text and the separators of lines make a line look like another one.
 */
const STEERING = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;
const STEERING_JSON = /[^\P{Cc}\n\t]|[\p{Bidi_Control}\u2028\u2029]/gu;

/** A text that stays on its line: what steers is shown as an escape. */
export function printable(text: string): string {
  return text.replace(STEERING, escaped);
}

/** The same for what is JSON, and stays it; line breaks and tabs between tokens are kept. */
export function harmless(json: string): string {
  return json.replace(STEERING_JSON, escaped);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
