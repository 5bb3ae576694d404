/**
 * What happened, written down by the world and not by the product: what agents meant and were told, which notices
 * they got, which records each store took, what agents read. The checker compares it with the relay's own tables.
 */
import type { Notice, Receipt } from "../../src/wire/receipt.ts";

/** One answer that reached the agent. */
export type Told = { at: number; receipt: Receipt };

/** One thing an agent wants to write; every call for it has the same text. */
export type Intent = {
  readonly id: string;
  readonly agent: string;
  readonly text: string;
  /** Other arguments under a key that is taken already. */
  readonly conflict: boolean;
  calls: number;
  readonly told: Told[];
};

/** The records that one file took, in order; a copy of the file begins with those of its original. */
export type Lineage = { readonly store: string; readonly agent: string; readonly taken: Taken[] };
export type Taken = { id: number; messageId: string };

/** One message as an agent read it. */
export type Reading = { seq: number; messageId: string };

export class Ledger {
  readonly intents: Intent[] = [];
  readonly lineages: Lineage[] = [];
  readonly notices: { agent: string; notice: Notice }[] = [];
  readonly readings = new Map<string, Reading[]>();
  /** What the world itself saw going wrong. */
  readonly violations: Violation[] = [];
  /** Texts that a failed commit may have left on disk when the process died: SPEC.md lists them as a gap. */
  readonly maybeStored = new Set<string>();
  /** Messages that were in a file when it was copied. */
  readonly copied = new Set<string>();
  readonly #hash = new Bun.CryptoHasher("sha256");
  readonly #lines: string[] | undefined;
  #events = 0;

  /** @param keep whether the lines are kept for printing */
  constructor(keep: boolean) {
    this.#lines = keep ? [] : undefined;
  }

  /** One event of the world. */
  trace(now: number, line: string): void {
    const text = `${now.toFixed(3)} ${line}`;
    this.#hash.update(`${text}\n`);
    this.#lines?.push(text);
    this.#events += 1;
  }

  broke(kind: ViolationKind, what: string): void {
    this.violations.push({ kind, what });
  }

  get events(): number {
    return this.#events;
  }

  get lines(): readonly string[] {
    return this.#lines ?? [];
  }

  /** Equal for equal worlds. Ends the trace. */
  digest(): string {
    return this.#hash.digest("hex");
  }
}

export const violationKinds = ["lost", "doubled", "phantom", "lie", "inversion", "stuck"] as const;
export type ViolationKind = (typeof violationKinds)[number];
export type Violation = { kind: ViolationKind; what: string };
