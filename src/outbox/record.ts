/**
 * The life of one record as a pure, total state machine: every state meets every event. It decides, the pump and
 * the store act. An attempt whose outcome was not learned is never forgotten: such a record that ends without the
 * relay's word ends as `unknown`. The table is written out in SPEC.md.
 */
import type { Limits } from "../limits.ts";
import type { ErrorCode } from "../wire/error.ts";
import type { Notice } from "../wire/receipt.ts";

/** Why a notice was written. */
export type NoticeReason = Notice["reason"];

export const recordStates = [
  "queued",
  "sending",
  "sent",
  "rejected",
  "expired",
  "unknown",
  "dropped",
] as const;
/** queued: waits. sending: an attempt is under way. All others are ends and never change again. */
export type RecordState = (typeof recordStates)[number];

/** What the outbox knows about the delivery of one record. */
export type RecordLife = {
  readonly state: RecordState;
  /** Attempts that began. */
  readonly attempts: number;
  /** An earlier attempt may have taken effect: its outcome was never learned. */
  readonly ambiguous: boolean;
  /** Attempts that failed alone while the relay answered other questions. */
  readonly failures: number;
  /** Wall clock of the first of those, ms since 1970. */
  readonly firstFailureAt: number | undefined;
  /** What was heard last about it: the relay's words, or why the attempt failed. */
  readonly detail: string | undefined;
};

export const recordEventTypes = [
  "attempt",
  "committed",
  "rejected",
  "deferred",
  "notSent",
  "lost",
  "failedAlone",
  "expired",
  "dropped",
  "reopened",
] as const;
export type RecordEventType = (typeof recordEventTypes)[number];

/** The relay was asked after earlier attempts were fenced, and has never seen the key: none of them has worked. */
type Asked = { neverSeen?: boolean };

type EventFacts = {
  /** A delivery that carries the record begins. */
  attempt: object;
  /** The relay committed it, now or earlier under the same key. */
  committed: object;
  /** The relay said permanently no; without a code it refused the request as such. */
  rejected: { code: ErrorCode | undefined; detail: string } & Asked;
  /** The relay answered that it did not apply it and wants it again later. */
  deferred: { detail: string };
  /** The delivery failed as a whole and certainly never left. */
  notSent: { detail: string };
  /** The delivery failed as a whole and may have been applied. */
  lost: { detail: string };
  /** It was the only record of a delivery that failed although the relay answers. */
  failedAlone: { detail: string; sent: "no" | "unknown"; now: number } & Asked;
  /** It is too old to be sent. */
  expired: { detail: string } & Asked;
  /** A person took it out of the queue. */
  dropped: { detail: string } & Asked;
  /** The store was opened again after its owner ended. */
  reopened: object;
};
export type RecordEvent = { [Type in RecordEventType]: { type: Type } & EventFacts[Type] }[RecordEventType];

/** What the driver must do: store the changed life; or store the end, erase the arguments, answer who waits. */
export type RecordEffect =
  | { do: "save" }
  | { do: "end" }
  /** In the transaction that stores the end. */
  | { do: "notice"; reason: NoticeReason };

export type RecordStep = { readonly life: RecordLife; readonly effects: readonly RecordEffect[] };

type PoisonLimits = Pick<Limits, "poisonAttemptsMax" | "poisonSpanMs">;
type Cell<Type extends RecordEventType> = (
  life: RecordLife,
  event: { type: Type } & EventFacts[Type],
  limits: PoisonLimits,
) => RecordStep;
type Row = { [Type in RecordEventType]: Cell<Type> };

/** A record that was just stored. */
export const newLife: RecordLife = {
  state: "queued",
  attempts: 0,
  ambiguous: false,
  failures: 0,
  firstFailureAt: undefined,
  detail: undefined,
};

/** True for the states that never change again. */
export function isEnded(state: RecordState): boolean {
  return state !== "queued" && state !== "sending";
}

/** These refusals were decided without looking the key up, so they say nothing about earlier attempts. */
const blindRefusals: ReadonlySet<ErrorCode | undefined> = new Set([
  undefined,
  "agent_removed",
  "key_expired",
  "token_revoked",
  "forbidden",
]);

/** True when the relay would answer the same again: the end is safe before it is on disk. */
export function isRemembered(event: RecordEvent): boolean {
  return event.type === "committed" || (event.type === "rejected" && !blindRefusals.has(event.code));
}

const ignore = (life: RecordLife): RecordStep => ({ life, effects: [] });

const save = (life: RecordLife): RecordStep => ({ life, effects: [{ do: "save" }] });

function end(life: RecordLife, state: RecordState, detail: string, reason: NoticeReason): RecordStep {
  return { life: { ...life, state, detail }, effects: [{ do: "end" }, { do: "notice", reason }] };
}

/** Gives the record up: without the relay's word the truth is `unknown` when an attempt may have worked. */
function giveUp(
  life: RecordLife,
  otherwise: { state: RecordState; reason: NoticeReason },
  { detail, neverSeen = false }: { detail: string } & Asked,
): RecordStep {
  if (life.ambiguous && !neverSeen) return end(life, "unknown", detail, "unknown");
  return end(life, otherwise.state, detail, otherwise.reason);
}

const commit: Cell<"committed"> = (life) => ({
  life: { ...life, state: "sent", detail: undefined },
  effects: [{ do: "end" }],
});

const reject: Cell<"rejected"> = (life, { code, detail, neverSeen = false }) =>
  life.ambiguous && !neverSeen && blindRefusals.has(code)
    ? end(life, "unknown", detail, "unknown")
    : end(life, "rejected", detail, "rejected");

const failAlone: Cell<"failedAlone"> = (life, { detail, sent, now, neverSeen }, limits) => {
  const next: RecordLife = {
    ...life,
    state: "queued",
    ambiguous: life.ambiguous || sent === "unknown",
    failures: life.failures + 1,
    firstFailureAt: life.firstFailureAt ?? now,
    detail,
  };
  const poison =
    next.failures >= limits.poisonAttemptsMax && now - (next.firstFailureAt ?? now) >= limits.poisonSpanMs;
  const asked = neverSeen === true ? { neverSeen } : {};
  return poison ? giveUp(next, { state: "dropped", reason: "poison" }, { detail, ...asked }) : save(next);
};

const ended: Row = {
  attempt: ignore,
  committed: ignore,
  rejected: ignore,
  deferred: ignore,
  notSent: ignore,
  lost: ignore,
  failedAlone: ignore,
  expired: ignore,
  dropped: ignore,
  reopened: ignore,
};

const table: Record<RecordState, Row> = {
  queued: {
    attempt: (life) => ({ life: { ...life, state: "sending", attempts: life.attempts + 1 }, effects: [] }),
    committed: commit,
    rejected: reject,
    deferred: ignore,
    notSent: ignore,
    lost: (life, { detail }) => save({ ...life, ambiguous: true, detail }),
    failedAlone: ignore,
    expired: (life, event) => giveUp(life, { state: "expired", reason: "expired" }, event),
    dropped: (life, event) => giveUp(life, { state: "dropped", reason: "dropped" }, event),
    reopened: ignore,
  },
  sending: {
    attempt: ignore,
    committed: commit,
    rejected: reject,
    deferred: (life, { detail }) => save({ ...life, state: "queued", detail }),
    notSent: (life, { detail }) => save({ ...life, state: "queued", detail }),
    lost: (life, { detail }) => save({ ...life, state: "queued", ambiguous: true, detail }),
    failedAlone: failAlone,
    expired: (life, event) =>
      event.neverSeen === true
        ? giveUp(life, { state: "expired", reason: "expired" }, event)
        : end(life, "unknown", event.detail, "unknown"),
    dropped: (life, event) =>
      event.neverSeen === true
        ? giveUp(life, { state: "dropped", reason: "dropped" }, event)
        : end(life, "unknown", event.detail, "unknown"),
    reopened: (life) => save({ ...life, state: "queued", ambiguous: true }),
  },
  sent: ended,
  rejected: ended,
  expired: ended,
  unknown: ended,
  dropped: ended,
};

/** The life after an event, and what to do about it. Defined for every state and event; never throws. */
export function step(life: RecordLife, event: RecordEvent, limits: PoisonLimits): RecordStep {
  // The compiler cannot see that a cell and its event come from the same type.
  const cell = table[life.state][event.type] as Cell<RecordEventType>;
  return cell(life, event, limits);
}
