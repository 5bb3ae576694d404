/** Replies that are owed, as agents are told of them, and what follows from writes that open or close them. */
import { limits } from "../limits.ts";
import type { ObligationChange, OpenObligation } from "../store/store.ts";
import type { AgentId } from "../wire/id.ts";
import { type Obligation, type ObligationState, type Reminder, reminderNotes } from "../wire/obligation.ts";
import { overdueAt, stepAt } from "../wire/obligation-steps.ts";
import type { Principal } from "./access.ts";
import { type Relay, timeText } from "./relay.ts";

const auditKinds = {
  opened: "obligation_opened",
  discharged: "obligation_discharged",
  declined: "obligation_declined",
} as const;

/** What follows from writes that opened or closed obligations. @param by whose token the writes came with */
export async function obligationsChanged(
  relay: Relay,
  by: Principal,
  changes: readonly ObligationChange[],
): Promise<void> {
  for (const { kind, messageId, otherId, otherName, nextAt } of changes) {
    if (nextAt !== undefined) relay.obligations.opened(nextAt);
    if (kind !== "opened") relay.hub.hint(otherId, "obligations");
    const facts = kind === "opened" ? { debtor: otherName } : { creditor: otherName };
    await relay.audit({ kind: auditKinds[kind], by, subject: messageId, facts });
  }
}

/** What one agent owes and is owed, and whether there is more than that. */
export async function outstandingOf(
  relay: Relay,
  agentId: AgentId,
): Promise<{ owed: Obligation[]; awaited: Obligation[]; more: boolean }> {
  const { owed, awaited } = await relay.store.outstanding(agentId, limits.outstandingMax + 1);
  const few = (list: readonly OpenObligation[]) =>
    list.slice(0, limits.outstandingMax).map((open) => obligationView(open, relay.clock.now()));
  const more = Math.max(owed.length, awaited.length) > limits.outstandingMax;
  return { owed: few(owed), awaited: few(awaited), more };
}

/**
 * What an agent is told unasked: replies it was reminded of, and replies to it that are late or ended.
 * @param fresh also the replies it owes of which it was not reminded yet
 */
export async function remindersOf(relay: Relay, agentId: AgentId, fresh = false): Promise<Reminder[]> {
  const now = relay.clock.now();
  const [{ owed, awaited }, ended] = await Promise.all([
    relay.store.outstanding(agentId, limits.outstandingMax),
    relay.store.tellEnded(agentId, now),
  ]);
  const reminded = owed.filter((open) => fresh || stepAt(open, now).step >= 1);
  const lateMs = (open: OpenObligation) => now - overdueAt(open);
  // One who waits in vain is not told so for ever.
  const late = awaited.filter((open) => lateMs(open) >= 0 && lateMs(open) < limits.overdueShownMs);
  const of = (kind: Reminder["kind"], open: OpenObligation): Reminder => ({
    kind,
    messageId: open.messageId,
    with: kind === "owed" ? open.creditorName : open.debtorName,
    askedAt: timeText(open.openedAt),
    ...(open.dueAt === undefined ? {} : { replyBy: timeText(open.dueAt) }),
    text: reminderNotes[kind],
  });
  // What ended comes first: it is told only now.
  return [
    ...ended.map((open) => of("ended", open)),
    ...reminded.map((open) => of("owed", open)),
    ...late.map((open) => of("overdue", open)),
  ].slice(0, limits.remindersShownMax);
}

const states: Record<0 | 1 | 2 | 3, ObligationState> = {
  0: "open",
  1: "reminded",
  2: "reminded",
  3: "overdue",
};

/** An obligation as it is shown; its state is the one of now, also while the timer is behind. */
export function obligationView(open: OpenObligation, now: number): Obligation {
  const { messageId, creditorName, debtorName, threadId, excerpt, openedAt, dueAt } = open;
  return {
    messageId,
    creditor: creditorName,
    debtor: debtorName,
    threadId,
    excerpt,
    askedAt: timeText(openedAt),
    ...(dueAt === undefined ? {} : { replyBy: timeText(dueAt) }),
    state: states[stepAt(open, now).step],
  };
}
