/**
 * Refusals in the audit log. Anybody can cause as many as they like, so the first of a kind is written down at once
 * and the others are counted and written when their minute is over.
 */
import type { Clock } from "../base/clock.ts";
import { limits } from "../limits.ts";
import type { Audit, AuditEvent } from "./audit.ts";

export type RefusalKind = "authentication_failed" | "scope_denied" | "rate_limited" | "write_refused";

export type Refusals = {
  /** Notes a refusal of this kind to whoever asked; `subject` is what was tried, from a table. */
  note(kind: RefusalKind, by: AuditEvent["by"], subject: string): void;
  /** Writes down what was counted. */
  close(): Promise<void>;
};

type Counted = { event: AuditEvent; more: number; stop: () => void };

/** The refusals of one process. */
export function createRefusals(options: { audit: Audit; clock: Clock }): Refusals {
  const { audit, clock } = options;
  const open = new Map<string, Counted>();

  const end = (key: string): Promise<void> => {
    const counted = open.get(key);
    open.delete(key);
    counted?.stop();
    if (counted === undefined || counted.more === 0) return Promise.resolve();
    return audit({ ...counted.event, facts: { again: counted.more } });
  };

  return {
    note(kind, by, subject) {
      const who = typeof by === "string" ? by : by.tokenId;
      // Too many different ones at once are one: what they are no longer matters then.
      const crowded = open.size >= limits.auditRefusalsMax;
      const key =
        crowded && !open.has(`${kind} ${who} ${subject}`) ? `${kind} crowd` : `${kind} ${who} ${subject}`;
      const counted = open.get(key);
      if (counted !== undefined) {
        counted.more += 1;
        return;
      }
      const event: AuditEvent = key === `${kind} crowd` ? { kind, by: "nobody" } : { kind, by, subject };
      const stop = clock.after(limits.auditRefusalMs, () => void end(key));
      open.set(key, { event, more: 0, stop });
      void audit(event);
    },
    async close() {
      await Promise.all([...open.keys()].map(end));
    },
  };
}
