/**
 * What became of every write, from the agents' ledgers, the relay's rows and what the recipients read. Pure. Each
 * kind of violation is a list of findings in words; an empty list of all is the only pass.
 */
import { type Line, linesOf, parseBody } from "./ledger.ts";

/** A committed message in the inbox of its recipient. */
export type StoredMessage = { id: string; seq: number; from: string; body: string };

/** One agent that writes: its lane's name is its agent's name. */
export type Lane = {
  name: string;
  ledger: readonly Line[];
  /** Records that were still waiting when everything was well again and had had its time. */
  waiting: number;
  /** Message ids of records that ended without being sent, as the store has them at the end. */
  endedUnsent: readonly string[];
};

/** What one recipient has: the relay's rows, and what it read itself. Undefined when nobody read. */
export type Inbox = { rows: readonly StoredMessage[]; reads: readonly StoredMessage[] | undefined };

export const violations = ["lost", "doubled", "phantom", "lies", "inversions", "stuck", "unshown"] as const;
export type Violation = (typeof violations)[number];

/** The figures of one scenario. */
export type Verdict = Record<Violation, string[]> & {
  tried: number;
  told: Record<string, number>;
  committed: number;
  read: number;
  notices: number;
};

const takes = (delivery: string) => delivery === "sent" || delivery === "queued";
/** Reasons that say: this had no effect. */
const noEffect: readonly string[] = ["rejected", "expired", "poison", "dropped"];

/** Judges lanes and the inboxes they wrote to. */
export function check(lanes: readonly Lane[], inboxes: readonly Inbox[]): Verdict {
  const verdict: Verdict = {
    lost: [],
    doubled: [],
    phantom: [],
    lies: [],
    inversions: [],
    stuck: [],
    unshown: [],
    tried: 0,
    told: {},
    committed: 0,
    read: 0,
    notices: 0,
  };
  const names = new Map(lanes.map((lane) => [lane.name, numbersOf(lane.ledger)]));
  for (const { rows, reads } of inboxes) {
    verdict.phantom.push(...phantoms([...rows, ...(reads ?? [])], names));
    verdict.committed += rows.length;
    verdict.read += reads?.length ?? 0;
  }
  for (const lane of lanes) judgeLane(verdict, lane, inboxes);
  return verdict;
}

/** The violations that were found, counted; only those that are not zero. */
export function found(verdict: Verdict): Partial<Record<Violation, number>> {
  return Object.fromEntries(
    violations.filter((kind) => verdict[kind].length > 0).map((kind) => [kind, verdict[kind].length]),
  );
}

/** Some findings in words, for messages of failed tests. */
export function words(verdict: Verdict, most = 6): string[] {
  return violations.flatMap((kind) => verdict[kind].slice(0, most).map((text) => `${kind}: ${text}`));
}

function numbersOf(ledger: readonly Line[]): Set<number> {
  return new Set(linesOf(ledger, "intent").map(({ n }) => n));
}

function phantoms(rows: readonly StoredMessage[], names: ReadonlyMap<string, Set<number>>): string[] {
  return rows
    .filter(({ from, body }) => {
      const named = parseBody(body);
      return named === undefined || named.lane !== from || names.get(from)?.has(named.n) !== true;
    })
    .map(({ from, body }) => `${from}: ${body.slice(0, 80)}`);
}

/** Rows of one lane by their number, in the order of their inbox. */
function rowsOf(lane: string, rows: readonly StoredMessage[]): { n: number; row: StoredMessage }[] {
  return [...rows]
    .sort((a, b) => a.seq - b.seq)
    .flatMap((row) => {
      const named = parseBody(row.body);
      return named === undefined || named.lane !== lane ? [] : [{ n: named.n, row }];
    });
}

function judgeLane(verdict: Verdict, lane: Lane, inboxes: readonly Inbox[]): void {
  const { name, ledger } = lane;
  const told = linesOf(ledger, "told");
  const notices = linesOf(ledger, "notice");
  const finalNotices = notices.filter(({ reason }) => reason !== "delayed");
  const noticed = new Set(finalNotices.map(({ messageId }) => messageId));
  const accepted = told.filter(({ delivery }) => takes(delivery));
  const committed = new Map<number, StoredMessage[]>();
  const wasRead = new Map<number, number>();
  const everyoneReads = inboxes.every(({ reads }) => reads !== undefined);
  for (const { rows, reads } of inboxes) {
    const stored = rowsOf(name, rows);
    for (const { n, row } of stored) committed.set(n, [...(committed.get(n) ?? []), row]);
    for (const { n } of rowsOf(name, reads ?? [])) wasRead.set(n, (wasRead.get(n) ?? 0) + 1);
    verdict.inversions.push(...inversions(lane, stored));
  }
  for (const n of new Set(accepted.map(({ n }) => n))) {
    const known = accepted.some((line) => line.n === n && noticed.has(line.messageId));
    if (!committed.has(n) && !known) verdict.lost.push(`${name} ${n} was accepted and is nowhere`);
    if (everyoneReads && committed.has(n) && !wasRead.has(n))
      verdict.lost.push(`${name} ${n} was never read`);
  }
  for (const [n, rows] of committed)
    if (rows.length > 1) verdict.doubled.push(`${name} ${n} is ${rows.length} times at the relay`);
  for (const [n, times] of wasRead)
    if (times > 1) verdict.doubled.push(`${name} ${n} was read ${times} times`);
  verdict.lies.push(...lies(lane, committed));
  if (lane.waiting > 0) verdict.stuck.push(`${name}: ${lane.waiting} records still wait`);
  const shown = new Set([
    ...noticed,
    ...told.filter(({ delivery }) => !takes(delivery)).map(({ messageId }) => messageId),
  ]);
  for (const id of lane.endedUnsent)
    if (!shown.has(id)) verdict.unshown.push(`${name}: the end of ${id} was never shown`);
  verdict.tried += numbersOf(ledger).size;
  verdict.notices += notices.length;
  for (const { delivery } of told) verdict.told[delivery] = (verdict.told[delivery] ?? 0) + 1;
}

/** Answers and notices that the relay's rows contradict. */
function lies(lane: Lane, committed: ReadonlyMap<number, readonly StoredMessage[]>): string[] {
  const ids = new Map([...committed].flatMap(([n, rows]) => rows.map(({ id }) => [id, n] as const)));
  const about = linesOf(lane.ledger, "told").flatMap(({ n, delivery, messageId, reason }) => {
    const rows = committed.get(n) ?? [];
    const say = (text: string) => [`${lane.name} ${n} was told ${delivery} (${reason ?? messageId}) ${text}`];
    if (takes(delivery) && rows.length > 0 && !ids.has(messageId)) return say("and has another id");
    if (delivery === "sent" && rows.length === 0) return say("and is not at the relay");
    // The same write may have been refused once and taken later: only its last answer counts then.
    const last = linesOf(lane.ledger, "told").findLast((line) => line.n === n);
    if (
      (delivery === "refused" || delivery === "rejected") &&
      ids.has(messageId) &&
      last?.delivery === delivery
    )
      return say("and is at the relay");
    return [];
  });
  const told = linesOf(lane.ledger, "notice")
    .filter(({ reason, messageId }) => noEffect.includes(reason) && ids.has(messageId))
    .map(({ reason, messageId }) => `${lane.name}: notice ${reason} of ${messageId}, which is at the relay`);
  return [...about, ...told];
}

/** Rows behind one that was begun only after they had been answered: what the agent itself had ordered. */
function inversions({ name, ledger }: Lane, rows: readonly { n: number }[]): string[] {
  const begunAt = new Map<number, number>();
  const toldAt = new Map<number, number>();
  ledger.forEach((line, place) => {
    if (line.type === "intent" && !begunAt.has(line.n)) begunAt.set(line.n, place);
    if (line.type === "told" && takes(line.delivery) && !toldAt.has(line.n)) toldAt.set(line.n, place);
  });
  const seen = new Set<number>();
  const findings: string[] = [];
  let latest = { n: 0, at: -1 };
  for (const { n } of rows) {
    if (seen.has(n)) continue;
    seen.add(n);
    if ((toldAt.get(n) ?? Number.POSITIVE_INFINITY) < latest.at)
      findings.push(`${name} ${n} stands behind ${latest.n}, which was begun after it was answered`);
    const at = begunAt.get(n) ?? -1;
    if (at > latest.at) latest = { n, at };
  }
  return findings;
}
