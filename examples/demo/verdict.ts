/**
 * What became of every message, from the agents' ledgers and the relay's own rows. Pure: the demo and the fault test
 * judge by the same functions, and tests plant a fault of each kind to show that it would be seen.
 */
import { type LedgerLine, linesOf, parseBody } from "./ledger.ts";

/** A message as the relay holds it, in its recipient's inbox. */
export type StoredMessage = { id: string; seq: number; from: string; body: string };

/** A stretch of wall-clock time, ms since 1970. */
export type Span = { fromMs: number; toMs: number };

/** One agent: its ledger, its inbox at the relay, and when its own runner was frozen or dead. */
export type Party = {
  name: string;
  ledger: readonly LedgerLine[];
  inbox: readonly StoredMessage[];
  runnerAway: readonly Span[];
};

/** What happened to the messages of one direction. */
export type Flow = {
  from: string;
  to: string;
  /** Distinct messages the sender was told are sent or queued. */
  sent: number;
  /** Distinct messages in the recipient's inbox at the relay. */
  committed: number;
  /** Distinct messages the recipient read. */
  read: number;
  /** Told sent or queued, but not at the relay or not read. */
  lost: number;
  /** Further copies of a message, at the relay or read. */
  doubled: number;
  /** Messages behind one that was begun only after they had been answered, at the relay or as read. */
  outOfOrder: number;
  /** Messages that nobody began, or with another sender or text. */
  phantom: number;
  /** Answers that were not true: another id than the relay's, or refused and yet committed. */
  untrue: number;
};

/** What happened to the calls of one agent. */
export type Conduct = {
  name: string;
  protocol: string;
  starts: number;
  /** Calls that fell into the outage and were answered in it, and those of them told `queued`, schema checked. */
  outageCalls: number;
  outageQueued: number;
  /** Answers `sent` for calls that began and ended while the relay was dead. */
  sentInOutage: number;
  /** Calls that ended without an answer, less those of the agent whose runner was killed under them. */
  faults: string[];
  excusedFaults: number;
  /** Answers that were refused, rejected or unknown. */
  failures: number;
  /** Answers whose form was not checked against the tool's output schema. */
  unchecked: number;
  /** Writes that came back: a delay is no such thing. */
  notices: number;
  /** Messages to a name that nobody has: written, told `queued`, and told to be refused in a later result. */
  astray: number;
  astrayQueued: number;
  astrayTold: number;
  /** Lines of an earlier start after a later one began: two agents at once. */
  overlaps: number;
  unanswered: number;
};

/** The whole judgement. `faults` says in words what is wrong; empty means that every promise held. */
export type Verdict = { ok: boolean; faults: string[]; flows: Flow[]; conduct: Conduct[] };

/** Judges two parties that sent each other `count` messages; `outage` is when the relay was dead. */
export function judge(story: { count: number; outage: Span; parties: readonly [Party, Party] }): Verdict {
  const [a, b] = story.parties;
  const flows = [flowOf(a, b), flowOf(b, a)];
  const conduct = [a, b].map((party) => conductOf(party, story.outage));
  const faults = [
    ...flows.flatMap((flow) => flowFaults(flow, story.count)),
    ...conduct.flatMap(conductFaults),
  ];
  return { ok: faults.length === 0, faults, flows, conduct };
}

/** Judges the messages of one direction. */
export function flowOf(sender: Party, recipient: Party): Flow {
  const intents = linesOf(sender.ledger, "intent");
  const told = linesOf(sender.ledger, "told");
  const begun = new Set(intents.map(({ n }) => n));
  const accepted = new Set(told.filter(({ delivery }) => takes(delivery)).map(({ n }) => n));
  const genuine = (message: { from: string; body: string }) => {
    const named = parseBody(message.body);
    return named !== undefined && named.sender === sender.name && message.from === sender.name
      ? named.n
      : undefined;
  };
  const stored = bySeq(recipient.inbox).map((row) => ({ ...row, n: genuine(row) }));
  const reads = linesOf(recipient.ledger, "read").map((row) => ({ ...row, n: genuine(row) }));
  const storedCopies = copies(stored);
  const readCopies = copies(reads);
  const real = (n: number | undefined) => n !== undefined && begun.has(n);
  return {
    from: sender.name,
    to: recipient.name,
    sent: accepted.size,
    committed: [...storedCopies.keys()].filter(real).length,
    read: [...readCopies.keys()].filter(real).length,
    lost: [...accepted].filter((n) => !storedCopies.has(n) || !readCopies.has(n)).length,
    doubled: [...begun].reduce(
      (sum, n) => sum + Math.max(0, (storedCopies.get(n) ?? 0) - 1, (readCopies.get(n) ?? 0) - 1),
      0,
    ),
    outOfOrder: Math.max(
      misplaced(sender.ledger, stored),
      misplaced(sender.ledger, reads) + descents(reads.map(({ seq }) => seq)),
    ),
    phantom: [...stored, ...reads].filter(({ n }) => !real(n)).length,
    untrue: told.filter((line) => {
      const rows = stored.filter(({ n }) => n === line.n);
      if (!takes(line.delivery)) return line.delivery !== "unknown" && rows.length > 0;
      return rows.length > 0 && rows.every(({ id }) => id !== line.messageId);
    }).length,
  };
}

function takes(delivery: string): boolean {
  return delivery === "sent" || delivery === "queued";
}

function bySeq(rows: readonly StoredMessage[]): StoredMessage[] {
  return [...rows].sort((x, y) => x.seq - y.seq);
}

/** How many different rows (by id and place) carry each number. */
function copies(rows: readonly { n: number | undefined; id: string; seq: number }[]): Map<number, number> {
  const places = new Map<number, Set<string>>();
  for (const { n, id, seq } of rows) {
    if (n === undefined) continue;
    places.set(n, (places.get(n) ?? new Set()).add(`${id} ${seq}`));
  }
  return new Map([...places].map(([n, set]) => [n, set.size]));
}

/**
 * Messages that stand behind one which their sender began only after they had been answered. With one call in
 * flight at a time this is the order of the numbers; with several it asks only what the sender itself had ordered.
 */
function misplaced(ledger: readonly LedgerLine[], rows: readonly { n: number | undefined }[]): number {
  const begunAt = new Map<number, number>();
  const toldAt = new Map<number, number>();
  ledger.forEach((line, place) => {
    if (line.type === "intent" && !begunAt.has(line.n)) begunAt.set(line.n, place);
    if (line.type === "told" && !toldAt.has(line.n)) toldAt.set(line.n, place);
  });
  const seen = new Set<number>();
  let latest = -1;
  let count = 0;
  for (const { n } of rows) {
    if (n === undefined || seen.has(n)) continue;
    seen.add(n);
    if ((toldAt.get(n) ?? Number.POSITIVE_INFINITY) < latest) count += 1;
    latest = Math.max(latest, begunAt.get(n) ?? -1);
  }
  return count;
}

/** Places where a sequence that only grows went back. */
function descents(numbers: readonly number[]): number {
  return numbers.filter((number, index) => number < (numbers[index - 1] ?? 0)).length;
}

/** Judges the calls of one agent. */
export function conductOf(party: Party, outage: Span): Conduct {
  const { ledger, runnerAway } = party;
  const told = linesOf(ledger, "told");
  const starts = linesOf(ledger, "start");
  const strays = linesOf(ledger, "stray");
  const astray = new Set(strays.map(({ key }) => key));
  const inside = (at: number, span: Span) => at > span.fromMs && at < span.toMs;
  const begunAt = new Map<number, number>();
  const inOutage = new Map<number, (typeof told)[number]>();
  for (const line of ledger) {
    if (line.type === "intent" && !begunAt.has(line.n)) begunAt.set(line.n, line.at);
    if (line.type === "told" && inside(begunAt.get(line.n) ?? 0, outage) && inside(line.at, outage))
      inOutage.set(line.n, line);
  }
  const calls = [...inOutage.values()];
  const faults = linesOf(ledger, "fault");
  const runAt = (at: number) => starts.filter((start) => start.at <= at).at(-1)?.run;
  const excused = faults.filter(({ at, run }) =>
    runnerAway.some((span) => inside(at, span) && run === runAt(span.fromMs)),
  );
  const lastPlace = new Map(ledger.map((line, place) => [line.run, place]));
  const firstPlace = new Map<string, number>();
  ledger.forEach((line, place) => {
    if (!firstPlace.has(line.run)) firstPlace.set(line.run, place);
  });
  const runs = [...firstPlace.keys()];
  const answered = new Set(told.map(({ n }) => n));
  return {
    name: party.name,
    protocol: starts.at(-1)?.protocol ?? "none",
    starts: starts.length,
    outageCalls: calls.length,
    outageQueued: calls.filter(({ delivery, validated }) => delivery === "queued" && validated).length,
    sentInOutage: calls.filter(({ delivery }) => delivery === "sent").length,
    faults: faults
      .filter((fault) => !excused.includes(fault))
      .map(({ kind, action, text }) => `${kind}: ${action}: ${text}`),
    excusedFaults: excused.length,
    failures: told.filter(({ delivery }) => !takes(delivery)).length,
    unchecked: told.filter(({ validated }) => !validated).length,
    notices: linesOf(ledger, "notice").filter(({ reason, key }) => reason !== "delayed" && !astray.has(key))
      .length,
    astray: strays.length,
    astrayQueued: strays.filter(({ delivery }) => delivery === "queued").length,
    astrayTold: linesOf(ledger, "bounced").length,
    overlaps: runs.filter((run, index) => {
      const next = runs[index + 1];
      return next !== undefined && (lastPlace.get(run) ?? 0) > (firstPlace.get(next) ?? 0);
    }).length,
    unanswered: new Set(linesOf(ledger, "intent").map(({ n }) => n)).size - answered.size,
  };
}

function flowFaults(flow: Flow, count: number): string[] {
  const direction = `${flow.from} to ${flow.to}`;
  const whole = (["sent", "committed", "read"] as const)
    .filter((stage) => flow[stage] !== count)
    .map((stage) => `${direction}: ${flow[stage]} ${stage}, ${count} wanted`);
  const none = (["lost", "doubled", "outOfOrder", "phantom", "untrue"] as const)
    .filter((kind) => flow[kind] > 0)
    .map((kind) => `${direction}: ${flow[kind]} ${kind}, none wanted`);
  return [...whole, ...none];
}

function conductFaults(conduct: Conduct): string[] {
  const none = (["sentInOutage", "failures", "unchecked", "notices", "overlaps", "unanswered"] as const)
    .filter((kind) => conduct[kind] > 0)
    .map((kind) => `${conduct.name}: ${conduct[kind]} ${kind}, none wanted`);
  const notQueued = conduct.outageCalls - conduct.outageQueued;
  return [
    ...conduct.faults.map((fault) => `${conduct.name}: ${fault}`),
    ...none,
    ...(conduct.astrayQueued !== conduct.astray || conduct.astrayTold !== conduct.astray
      ? [
          `${conduct.name}: of ${conduct.astray} messages to nobody ${conduct.astrayQueued} were queued and ${conduct.astrayTold} told`,
        ]
      : []),
    ...(notQueued > 0 ? [`${conduct.name}: ${notQueued} calls in the outage were not answered queued`] : []),
  ];
}
