/**
 * Whether a call is a new write or one that was made before. Pure; asked inside the transaction that would store
 * the record. Three signs, strongest first: the same key; the same logical call (its key is derived from the call
 * id); an equal call whose answer the agent never saw.
 */
import type { Limits } from "../limits.ts";

/** Where a key came from. own: the agent gave it. call: derived from the client's call id. minted: made here. */
export type KeyOrigin = "own" | "call" | "minted";

/** What is known of a call that may be new. */
export type Candidate = {
  origin: KeyOrigin;
  fingerprint: string;
  callId: string | undefined;
  /** Call ids that are in flight now in the same session. */
  parallel: readonly string[];
  /** Wall clock, ms since 1970. */
  now: number;
};

/** What is stored of an earlier write. */
export type EarlierWrite = {
  id: number;
  fingerprint: string;
  callId: string | undefined;
  enqueuedAt: number;
  /** The agent has seen an answer to it. */
  seen: boolean;
};

export type Verdict =
  | { kind: "new" }
  /** The same write: answer with its receipt. */
  | { kind: "same"; id: number }
  /** The key names a write with other arguments. */
  | { kind: "reused"; id: number };

/**
 * @param byKey the write that holds the candidate's key
 * @param equal writes with the candidate's fingerprint, any order
 */
export function judge(
  candidate: Candidate,
  earlier: { byKey: EarlierWrite | undefined; equal: readonly EarlierWrite[] },
  limits: Pick<Limits, "reissueWindowMs">,
): Verdict {
  const { byKey, equal } = earlier;
  if (byKey !== undefined)
    return { kind: byKey.fingerprint === candidate.fingerprint ? "same" : "reused", id: byKey.id };
  // A key of the agent's own is its word that this is another write.
  if (candidate.origin === "own") return { kind: "new" };
  const unseen = equal.find(
    (write) =>
      write.fingerprint === candidate.fingerprint &&
      !write.seen &&
      Math.abs(candidate.now - write.enqueuedAt) <= limits.reissueWindowMs &&
      !isParallel(candidate, write),
  );
  return unseen === undefined ? { kind: "new" } : { kind: "same", id: unseen.id };
}

/** Two calls in flight at once in one session, each with its own call id, are two calls even when they are equal. */
function isParallel(candidate: Candidate, write: EarlierWrite): boolean {
  return (
    candidate.callId !== undefined &&
    write.callId !== undefined &&
    candidate.callId !== write.callId &&
    candidate.parallel.includes(write.callId)
  );
}
