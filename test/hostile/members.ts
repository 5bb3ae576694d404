/**
 * JSON read without choosing: an object is the list of its members as they stand there, duplicates included, so that
 * one text can be read in the ways in which different parsers would read it.
 */

export type Tree =
  | { readonly kind: "object"; readonly members: readonly (readonly [name: string, value: Tree])[] }
  | { readonly kind: "array"; readonly items: readonly Tree[] }
  | { readonly kind: "scalar"; readonly value: unknown; readonly raw: string };

/** Reads a text that `JSON.parse` takes. @throws SyntaxError for any other */
export function readTree(text: string): Tree {
  JSON.parse(text);
  return new Reader(text).value();
}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  value(): Tree {
    this.#space();
    const first = this.#text[this.#at];
    if (first === "{") return { kind: "object", members: this.#list("}", () => this.#member()) };
    if (first === "[") return { kind: "array", items: this.#list("]", () => this.value()) };
    const raw = first === '"' ? this.#string() : this.#word();
    return { kind: "scalar", value: JSON.parse(raw), raw };
  }

  #member(): readonly [string, Tree] {
    this.#space();
    const name = String(JSON.parse(this.#string()));
    this.#space();
    this.#at += 1;
    return [name, this.value()];
  }

  #list<Item>(end: string, read: () => Item): Item[] {
    const items: Item[] = [];
    this.#at += 1;
    for (this.#space(); this.#text[this.#at] !== end; this.#space()) {
      if (this.#text[this.#at] === ",") this.#at += 1;
      items.push(read());
    }
    this.#at += 1;
    return items;
  }

  #string(): string {
    const start = this.#at;
    for (this.#at += 1; this.#text[this.#at] !== '"'; this.#at += 1)
      if (this.#text[this.#at] === "\\") this.#at += 1;
    this.#at += 1;
    return this.#text.slice(start, this.#at);
  }

  #word(): string {
    const [word = ""] = /^[^\s,\]}]*/.exec(this.#text.slice(this.#at, this.#at + 100_000)) ?? [];
    this.#at += word.length;
    return word;
  }

  #space(): void {
    while (/^[ \t\r\n]$/.test(this.#text[this.#at] ?? "")) this.#at += 1;
  }
}

/** How a parser chooses among members of one name. */
export const readings = {
  "the last one": (names: string[], wanted: string) => names.lastIndexOf(wanted),
  "the first one": (names: string[], wanted: string) => names.indexOf(wanted),
  "the last one in any case": (names: string[], wanted: string) =>
    names.map(folded).lastIndexOf(folded(wanted)),
  "the first one in any case": (names: string[], wanted: string) => names.map(folded).indexOf(folded(wanted)),
} as const;
export type Reading = keyof typeof readings;

function folded(name: string): string {
  return name.toUpperCase().toLowerCase();
}

/** A member of an object in one reading; undefined when there is none. */
export function memberOf(tree: Tree | undefined, name: string, reading: Reading): Tree | undefined {
  if (tree?.kind !== "object") return undefined;
  const names = tree.members.map(([own]) => own);
  return tree.members[readings[reading](names, name)]?.[1];
}

/** What a server would act on: method, id and name, in one reading. */
export function decisionOf(
  text: string,
  reading: Reading,
): { method: unknown; name: unknown; id: string | undefined } {
  const tree = readTree(text);
  const scalar = (one: Tree | undefined) => (one?.kind === "scalar" ? one.value : one?.kind);
  const id = memberOf(tree, "id", reading);
  return {
    method: scalar(memberOf(tree, "method", reading)),
    name: scalar(memberOf(memberOf(tree, "params", reading), "name", reading)),
    id: id?.kind === "scalar" ? id.raw : id?.kind,
  };
}
