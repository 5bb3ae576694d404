/**
 * A policy file as text: parsed with the line of every member, so that an error names line and path. JSON itself is
 * read by the platform; only where things stand is found here.
 */
import { type Policy, PolicyError, parsePolicy } from "./policy.ts";

/** The policy in the text of a file. Throws PolicyError: `line N, $.path: what is wrong`. */
export function parsePolicyText(text: string): Policy {
  const places = new Places(text);
  places.read();
  if (places.fault !== undefined) throw new PolicyError("$", `line ${places.fault}: this is not JSON`);
  try {
    return parsePolicy(JSON.parse(text));
  } catch (error) {
    if (error instanceof SyntaxError) throw new PolicyError("$", `this is not JSON: ${error.message}`);
    if (!(error instanceof PolicyError)) throw error;
    throw new PolicyError(error.path, `line ${places.lineOf(error.path)}, ${error.message}`);
  }
}

/** Walks a JSON text once and notes the line on which each value begins, by its path. */
class Places {
  readonly #text: string;
  readonly #lines = new Map<string, number>();
  #at = 0;
  #line = 1;
  /** Line of the first character that JSON does not allow. */
  fault: number | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  read(): void {
    this.#value("$");
    this.#space();
    if (this.#at < this.#text.length) this.fault ??= this.#line;
  }

  /** The line of a path, or of the nearest member around it. */
  lineOf(path: string): number {
    for (let near = path; near !== ""; near = near.replace(/(?:\.[^.[\]]*|\[[^\]]*\])$/, "")) {
      const line = this.#lines.get(near);
      if (line !== undefined) return line;
      if (near === "$") break;
    }
    return 1;
  }

  #value(path: string): void {
    this.#space();
    this.#lines.set(path, this.#line);
    const first = this.#text[this.#at];
    if (first === "{") this.#members(path);
    else if (first === "[") this.#items(path);
    else if (this.#take(scalar()) === undefined) this.#fail();
  }

  #members(path: string): void {
    this.#at += 1;
    for (let more = !this.#closes("}"); more; more = this.#goesOn("}")) {
      this.#space();
      const name = this.#take(/"(?:[^"\\\r\n]|\\.)*"/y);
      this.#space();
      if (name === undefined || this.#take(/:/y) === undefined) {
        this.#fail();
        return;
      }
      const member = String(JSON.parse(name));
      this.#value(/^\w+$/.test(member) && path === "$" ? `${path}.${member}` : memberPath(path, member));
    }
  }

  #items(path: string): void {
    this.#at += 1;
    let index = 0;
    for (let more = !this.#closes("]"); more; more = this.#goesOn("]")) this.#value(`${path}[${index++}]`);
  }

  #closes(end: string): boolean {
    this.#space();
    if (this.#text[this.#at] !== end) return false;
    this.#at += 1;
    return true;
  }

  /** After a member: true when a comma announces another one. */
  #goesOn(end: string): boolean {
    if (this.fault !== undefined || this.#closes(end)) return false;
    if (this.#take(/,/y) !== undefined) return true;
    this.#fail();
    return false;
  }

  #space(): void {
    const space = this.#take(/[ \t\r\n]*/y) ?? "";
    for (const character of space) if (character === "\n") this.#line += 1;
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #fail(): void {
    this.fault ??= this.#line;
    this.#at = this.#text.length;
  }
}

/** A string, number or word of JSON, as far as finding its end needs it. */
const scalar = () => /"(?:[^"\\\r\n]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|true|false|null/y;

/** As `parsePolicy` writes paths: tools by quoted name, everything else by dots. */
function memberPath(path: string, member: string): string {
  return path === "$.tools" ? `${path}[${JSON.stringify(member)}]` : `${path}.${member}`;
}
