/**
 * Makes text from elsewhere safe for a terminal or a log. Control characters steer a terminal; characters for
 * bidirectional text and line separators make a line look like another one.
 */
const STEERING = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu;
const STEERING_JSON = /[^\P{Cc}\n\t]|[\p{Bidi_Control}\u2028\u2029]/gu;

/** Keeps a text on its line: steering characters become escapes. */
export function printable(text: string): string {
  return text.replace(STEERING, escaped);
}

/** The same for JSON, which stays JSON. Line breaks and tabs between tokens are kept. */
export function harmless(json: string): string {
  return json.replace(STEERING_JSON, escaped);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
