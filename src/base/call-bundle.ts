/**
 * Calls to a worker as one text: a third of the work of a message each. A long text among them travels beside the
 * JSON, because quoting it and reading it back would cost as much as all the rest.
 */

export type Call = { id: number; method: string; argument: unknown };
/** Name and length of the member of the argument that travels beside it. */
type Packed = Call & { beside?: [name: string, length: number] };

/** Calls that wait to be sent. Arguments must be JSON values. */
export class CallBundle {
  readonly #beside: string | undefined;
  #calls: string[] = [];
  #texts: string[] = [];

  /** @param beside name of the long text of an argument, where it has one */
  constructor(beside: string | undefined) {
    this.#beside = beside;
  }

  get size(): number {
    return this.#calls.length;
  }

  /** Throws when the argument is no JSON value; then it is not in it. */
  add(call: Call): void {
    const name = this.#beside;
    const text =
      name === undefined ? undefined : (call.argument as Record<string, unknown> | undefined)?.[name];
    if (name === undefined || typeof text !== "string") {
      this.#calls.push(JSON.stringify(call));
      return;
    }
    const argument = { ...(call.argument as object), [name]: undefined };
    const packed: Packed = { ...call, argument, beside: [name, text.length] };
    this.#calls.push(JSON.stringify(packed));
    this.#texts.push(text);
  }

  /** What is sent: the length of the JSON, the JSON, the texts. Empties it. */
  take(): string {
    const json = `[${this.#calls.join(",")}]`;
    const bundle = `${json.length}:${json}${this.#texts.join("")}`;
    this.#calls = [];
    this.#texts = [];
    return bundle;
  }
}

/** The calls of a bundle, in their order. */
export function callsOf(bundle: string): Call[] {
  const from = bundle.indexOf(":") + 1;
  let at = from + Number(bundle.slice(0, from - 1));
  return (JSON.parse(bundle.slice(from, at)) as Packed[]).map(({ id, method, argument, beside }) => {
    if (beside !== undefined) {
      const [name, length] = beside;
      (argument as Record<string, unknown>)[name] = bundle.slice(at, at + length);
      at += length;
    }
    return { id, method, argument };
  });
}
