/**
 * Writing down who did what. An operation waits for its entry before it answers, so whatever was answered is in the
 * log. What anybody can cause without limit (refusals) is counted and written once a minute per kind and actor.
 */
import type { Clock } from "../base/clock.ts";
import { redact } from "../base/log.ts";
import { limits } from "../limits.ts";
import type { RelayStore } from "../store/store.ts";
import type { AuditActor, AuditFacts, AuditKind, AuditRecord } from "../wire/audit.ts";
import type { Principal } from "./access.ts";

/** Something to write down. */
export type AuditEvent = {
  kind: AuditKind;
  /** Who did it: a principal, the relay by itself, or somebody who could not be told. */
  by: Pick<Principal, "kind" | "tokenId" | "agentName"> | "relay" | "nobody";
  /** What it was done to: a token id, an agent's or a profile's name, a file. Never a secret, never a body. */
  subject?: string;
  /** Small facts for people. Never a secret, never a body. */
  facts?: AuditFacts;
};

/**
 * Writes an event down; resolves once it is durable. Never rejects: a store that cannot write fails the operations
 * themselves, and the loss of the entry is logged as an error.
 */
export type Audit = (event: AuditEvent) => Promise<void>;

/**
 * The audit log of a store.
 * @param options.failed is told of an entry that could not be written
 */
export function createAudit(options: {
  store: RelayStore;
  clock: Clock;
  failed(kind: AuditKind, error: unknown): void;
}): Audit {
  const { store, clock, failed } = options;
  return (event) =>
    store.appendAudit([recordOf(event, clock.now())]).catch((error: unknown) => failed(event.kind, error));
}

function recordOf({ kind, by, subject, facts = {} }: AuditEvent, at: number): AuditRecord {
  const actor: AuditActor = typeof by === "string" ? by : by.kind;
  const small = Object.entries(facts).slice(0, limits.auditFactsMax);
  return {
    kind,
    at,
    actor,
    ...(typeof by === "string" ? {} : { actorToken: by.tokenId, actorName: by.agentName }),
    ...(subject === undefined ? {} : { subject: cut(subject) }),
    facts: Object.fromEntries(
      small.map(([name, value]) => [name, typeof value === "string" ? cut(value) : value]),
    ),
  };
}

/** Bounded, and without anything in the form of a token. */
function cut(text: string): string {
  return redact(text).slice(0, limits.auditTextMax);
}
