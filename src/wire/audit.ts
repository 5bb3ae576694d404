/**
 * The audit log's language: what is written down about who did what, and how the entries hang together. Each entry's
 * hash covers the one before it, so a changed, missing or moved entry shows. No bodies and no secrets are ever in it.
 */
import { createHash } from "node:crypto";
import { z } from "zod";

/** What is written down, and when. */
export const auditTable = {
  relay_started: "the relay came up",
  relay_stopped: "the relay was asked to stop",
  relay_restored: "the database was restored from a backup; a new generation began",
  backup_made: "a backup was written",
  setting_changed: "a setting of the relay was changed",
  token_created: "an operator or host token was made",
  runner_enrolled: "a runner was enrolled for an agent and got its token",
  token_minted: "a runner minted a runtime token for its agent",
  token_renewed: "a token was swapped for its successor",
  token_reused: "a used token came with another successor; its family was revoked",
  token_revoked: "a token and what it minted were revoked",
  authentication_failed: "a request came with no valid token (the first of each minute, with a count)",
  scope_denied: "a principal tried what its scopes do not allow (the first of each minute, with a count)",
  rate_limited:
    "a token asked, or an agent wrote, more often than it may (the first of each minute, with a count)",
  lease_taken_over: "another runner took over an agent",
  agent_removed: "an agent was removed and its name freed",
  agent_quarantined: "an agent's writes were stopped",
  agent_released: "a quarantined agent may write again",
  profile_changed: "a profile was made or changed",
  profile_removed: "a profile was removed",
  channel_created: "a channel was made",
  obligation_opened: "a reply is owed",
  obligation_discharged: "a reply that was owed came",
  obligation_declined: "a reply that was owed was declined",
  obligation_overdue: "a reply is overdue; its creditor was told",
  write_refused: "a brake refused an agent's write for good (the first of each minute, with a count)",
} as const satisfies Record<string, string>;

export type AuditKind = keyof typeof auditTable;
export const auditKinds = Object.keys(auditTable) as [AuditKind, ...AuditKind[]];

/** Who did it: a kind of principal, the relay by itself, or whoever works on its machine. */
export const auditActors = ["operator", "host", "runner", "agent", "relay", "machine", "nobody"] as const;
export type AuditActor = (typeof auditActors)[number];

/** Small facts for people; texts are cut to `limits.auditTextMax`. */
export type AuditFacts = Readonly<Record<string, string | number | boolean>>;

/** One entry without its place in the chain. */
export type AuditRecord = {
  kind: AuditKind;
  /** ms since 1970. */
  at: number;
  actor: AuditActor;
  /** Public id of the token that was used. */
  actorToken?: string | undefined;
  /** Name of the agent that the token speaks for. */
  actorName?: string | undefined;
  /** What it was done to: a token id, an agent name, a profile name, a file. */
  subject?: string | undefined;
  facts: AuditFacts;
};

/** An entry in its place: `seq` counts from 1 without gaps. */
export type AuditEntry = AuditRecord & { seq: number; hash: string };

/** The hash before the first entry. */
export const auditStart = "0".repeat(64);

/**
 * The hash of an entry: SHA-256 over the hash before it and all its members in a fixed order.
 * @param previous hash of the entry with the number before; `auditStart` for the first
 */
export function auditHash(previous: string, entry: Omit<AuditEntry, "hash">): string {
  const { seq, at, kind, actor, actorToken, actorName, subject, facts } = entry;
  const sorted = Object.entries(facts).sort(([a], [b]) => (a < b ? -1 : 1));
  const members = [seq, at, kind, actor, actorToken ?? null, actorName ?? null, subject ?? null, sorted];
  return createHash("sha256")
    .update(`${previous}\n${JSON.stringify(members)}`)
    .digest("hex");
}

/** The chain up to an entry holds, or it is broken at one. */
export type AuditCheck =
  | { status: "holds"; seq: number; hash: string }
  | { status: "broken"; seq: number; why: string };

/** Goes on checking a chain: `after` is the last entry that held, `entries` follow it in order. */
export function checkAudit(after: { seq: number; hash: string }, entries: readonly AuditEntry[]): AuditCheck {
  let { seq, hash } = after;
  for (const entry of entries) {
    if (entry.seq !== seq + 1) {
      return { status: "broken", seq: seq + 1, why: `it is missing; the next one is ${entry.seq}` };
    }
    const wanted = auditHash(hash, entry);
    if (entry.hash !== wanted) {
      return {
        status: "broken",
        seq: entry.seq,
        why: "its hash is not that of its content and the entry before it",
      };
    }
    ({ seq, hash } = entry);
  }
  return { status: "holds", seq, hash };
}

/** An entry as the API gives it. */
export const auditEntrySchema = z.object({
  seq: z.number().int().positive(),
  at: z.iso.datetime(),
  kind: z.enum(auditKinds),
  actor: z.enum(auditActors),
  actorToken: z.string().optional(),
  actorName: z.string().optional(),
  subject: z.string().optional(),
  facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  hash: z.string(),
});
