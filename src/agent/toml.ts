/** The one piece of TOML that is written here: strings. */

const shortEscapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\b": "\\b",
  "\t": "\\t",
  "\n": "\\n",
  "\f": "\\f",
  "\r": "\\r",
};

/** A basic string (TOML 1.0 §String). Half a surrogate pair, which TOML cannot hold, becomes U+FFFD. */
export function tomlString(text: string): string {
  const escaped = [...text.toWellFormed()].map((character) => {
    const code = character.codePointAt(0) ?? 0;
    const control = code < 0x20 || code === 0x7f;
    return shortEscapes[character] ?? (control ? `\\u${code.toString(16).padStart(4, "0")}` : character);
  });
  return `"${escaped.join("")}"`;
}
