/**
 * The fields of an HTTP/1.1 head (RFC 9112 §5), checked in one pass and read only when somebody asks: most fields of
 * most messages are never looked at. Strict, because lenient readers can be told two different messages at once.
 */

/** A line that is no field; `got` is the line or value as it came. */
export type FieldFault = { readonly bad: string; readonly got: string };

const isToken = 1;
const isValue = 2;
const isBlank = 4;

/** What each byte may be part of: a name (RFC 9110 §5.6.2), a value (§5.5: no control character but the tab), a blank. */
const classes = Uint8Array.from({ length: 256 }, (_, code) => {
  const text = String.fromCharCode(code);
  const token = /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(text) ? isToken : 0;
  const value = /[\t\x20-\x7e\x80-\xff]/.test(text) ? isValue : 0;
  return token | value | (code === 32 || code === 9 ? isBlank : 0);
});

/** Longest head that is read: every bound of the limits is below it. */
const headLengthMax = 0xffff;

/** Index of the first character from `at` on that is no token character. */
export function tokenEnd(text: string, at: number): number {
  let end = at;
  while (((classes[text.charCodeAt(end)] ?? 0) & isToken) !== 0) end += 1;
  return end;
}

/**
 * Checks the field lines of a head.
 * @param text the head without its empty line, decoded as Latin-1
 * @param from where the first field line begins
 */
export function scanFields(text: string, from: number): Fields | FieldFault {
  const places: number[] = [];
  const length = text.length;
  // Places are kept in 16 bits each.
  if (length > headLengthMax) return { bad: "the head", got: `${length} characters` };
  let at = from;
  while (at < length) {
    const start = at;
    at = tokenEnd(text, at);
    // A folded line begins with a blank, so its name is not a token either.
    if (at === start || text.charCodeAt(at) !== 0x3a) return { bad: "a field", got: lineAt(text, start) };
    const nameEnd = at;
    at += 1;
    while (((classes[text.charCodeAt(at)] ?? 0) & isBlank) !== 0) at += 1;
    const valueStart = at;
    let valueEnd = at;
    for (; at < length; at += 1) {
      const kind = classes[text.charCodeAt(at)] ?? 0;
      if ((kind & isValue) === 0) break;
      if ((kind & isBlank) === 0) valueEnd = at + 1;
    }
    places.push(start | (nameEnd << 16), valueStart | (valueEnd << 16));
    if (at === length) break;
    if (text.charCodeAt(at) !== 13 || text.charCodeAt(at + 1) !== 10)
      return { bad: `the field ${text.slice(start, nameEnd)}`, got: lineAt(text, valueStart) };
    at += 2;
  }
  return new Fields(text, places);
}

const none: readonly (readonly [name: string, value: string])[] = [];

function lineAt(text: string, start: number): string {
  const end = text.indexOf("\r\n", start);
  return text.slice(start, end < 0 ? undefined : end);
}

/** Fields in their order. Names are compared without regard to case; lookups give lower-case names. */
export class Fields {
  readonly #text: string;
  /** Two for each field: where its name is and where its value is, the begin in the low half and the end in the high. */
  readonly #places: readonly number[];
  #list: readonly (readonly [name: string, value: string])[] | undefined;

  constructor(text: string, places: readonly number[]) {
    this.#text = text;
    this.#places = places;
  }

  get count(): number {
    return this.#places.length / 2;
  }

  /** The length of the name of a field. */
  nameLength(index: number): number {
    const place = this.#places[index * 2] ?? 0;
    return (place >>> 16) - (place & 0xffff);
  }

  /** True when the field has this name, given in lower case. */
  isNamed(index: number, name: string): boolean {
    const place = this.#places[index * 2] ?? 0;
    const start = place & 0xffff;
    return (place >>> 16) - start === name.length && this.#matches(start, name);
  }

  #name(index: number): string {
    const place = this.#places[index * 2] ?? 0;
    return this.#text.slice(place & 0xffff, place >>> 16).toLowerCase();
  }

  #matches(start: number, name: string): boolean {
    for (let i = 0; i < name.length; i += 1) {
      // In token characters this bit only folds case.
      if ((this.#text.charCodeAt(start + i) | 0x20) !== name.charCodeAt(i)) return false;
    }
    return true;
  }

  /** The value of a field, without blanks around it. */
  value(index: number): string {
    const place = this.#places[index * 2 + 1] ?? 0;
    return this.#text.slice(place & 0xffff, place >>> 16);
  }

  /** The value of a field as a number of 1 to 15 digits, so that it is exact; -1 when it is none. */
  number(index: number): number {
    const place = this.#places[index * 2 + 1] ?? 0;
    const start = place & 0xffff;
    const end = place >>> 16;
    if (end === start || end - start > 15) return -1;
    let value = 0;
    for (let at = start; at < end; at += 1) {
      const digit = this.#text.charCodeAt(at) - 0x30;
      if (digit < 0 || digit > 9) return -1;
      value = value * 10 + digit;
    }
    return value;
  }

  /** The first value of a name given in lower case. */
  first(name: string): string | undefined {
    const { count } = this;
    for (let index = 0; index < count; index += 1) if (this.isNamed(index, name)) return this.value(index);
    return undefined;
  }

  /** All values of a name given in lower case, joined by commas (RFC 9110 §5.2). */
  joined(name: string): string | undefined {
    const { count } = this;
    let all: string | undefined;
    for (let index = 0; index < count; index += 1) {
      if (!this.isNamed(index, name)) continue;
      all = all === undefined ? this.value(index) : `${all}, ${this.value(index)}`;
    }
    return all;
  }

  /** The fields whose names begin with this, given in lower case; names in lower case. */
  withPrefix(prefix: string): readonly (readonly [name: string, value: string])[] {
    const found: (readonly [string, string])[] = [];
    const { count } = this;
    for (let index = 0; index < count; index += 1) {
      if (this.nameLength(index) <= prefix.length) continue;
      if (this.#matches((this.#places[index * 2] ?? 0) & 0xffff, prefix))
        found.push([this.#name(index), this.value(index)]);
    }
    return found.length === 0 ? none : found;
  }

  /** Every field in order, names in lower case. */
  get list(): readonly (readonly [name: string, value: string])[] {
    this.#list ??= Array.from({ length: this.count }, (_, index) => [this.#name(index), this.value(index)]);
    return this.#list;
  }
}
