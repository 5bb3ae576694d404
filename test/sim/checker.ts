/**
 * Compares what agents were told, what the relay committed, what was read and which notices came. Each rule gives
 * the violations it found; a world is right when there is none.
 */
import type { Intent, Ledger, Lineage, Violation } from "./ledger.ts";
import type { SimRelay } from "./relay.ts";

/** What the rules look at. */
type Facts = {
  ledger: Ledger;
  /** Place of each committed message among all commits. */
  places: ReadonlyMap<string, number>;
  /** Committed message ids by text. */
  byText: ReadonlyMap<string, readonly string[]>;
  noticed: ReadonlyMap<string, readonly string[]>;
  relay: SimRelay;
};

type Rule = (facts: Facts) => Violation[];

/** Reasons that say: no effect. */
const noEffect = ["rejected", "expired", "dropped", "poison"];

/** Everything that is wrong in a settled world, with what the world itself saw going wrong. */
export function check(ledger: Ledger, relay: SimRelay): Violation[] {
  const committed = relay.committed();
  const byText = Map.groupBy(committed, ({ body }) => body);
  const noticed = Map.groupBy(ledger.notices, ({ notice }) => notice.messageId);
  const facts: Facts = {
    ledger,
    relay,
    places: new Map(committed.map(({ messageId }, place) => [messageId, place])),
    byText: new Map([...byText].map(([text, rows]) => [text, rows.map(({ messageId }) => messageId)])),
    noticed: new Map([...noticed].map(([id, rows]) => [id, rows.map(({ notice }) => notice.reason)])),
  };
  return [...ledger.violations, ...rules.flatMap((rule) => rule(facts))];
}

const rules: readonly Rule[] = [
  doubled,
  merged,
  phantom,
  ({ ledger, ...rest }) => ledger.intents.flatMap((intent) => told(intent, { ledger, ...rest })),
  noticesLie,
  (facts) => facts.ledger.lineages.flatMap((lineage) => inverted(lineage, facts)),
  read,
];

function doubled({ ledger, byText }: Facts): Violation[] {
  const intents = Map.groupBy(ledger.intents, ({ text }) => text);
  return [...byText]
    .filter(([text, ids]) => ids.length > (intents.get(text)?.length ?? 0) && intents.has(text))
    .map(([text, ids]) => ({
      kind: "doubled",
      what: `"${text}" was meant ${intents.get(text)?.length} times and took effect as ${ids.join(", ")}`,
    }));
}

/** Two things an agent meant became one record, though the answer to the first had been seen. */
function merged({ ledger }: Facts): Violation[] {
  const plain = ledger.intents.filter(({ conflict }) => !conflict);
  const owners = plain.flatMap((intent) =>
    [...new Set(intent.told.map(({ receipt }) => receipt.messageId))].map((id) => [id, intent.id] as const),
  );
  return [...Map.groupBy(owners, ([id]) => id)]
    .filter(([, all]) => all.length > 1)
    .map(([id, all]) => ({
      kind: "lost",
      what: `${all.map(([, intent]) => intent).join(" and ")} were taken for the same message ${id}`,
    }));
}

function phantom({ ledger, byText }: Facts): Violation[] {
  const called = new Set(ledger.intents.filter(({ calls }) => calls > 0).map(({ text }) => text));
  const never = [...byText.keys()]
    .filter((text) => !called.has(text))
    .map((text): Violation => ({ kind: "phantom", what: `"${text}" took effect and nobody meant it` }));
  const refused = ledger.intents.filter(
    ({ told, calls, text }) =>
      calls === 1 &&
      told[0]?.receipt.delivery === "refused" &&
      !isEnd(told[0].receipt.reason) &&
      byText.has(text) &&
      !ledger.maybeStored.has(text) &&
      !text.includes(":again:"),
  );
  return [
    ...never,
    ...refused.map(
      ({ id, told }): Violation => ({
        kind: "phantom",
        what: `${id} was refused (${told[0]?.receipt.reason}) and took effect`,
      }),
    ),
  ];
}

/** What an agent was told of one write against what became of it. */
function told(intent: Intent, { places, noticed, ledger }: Facts): Violation[] {
  if (intent.conflict) return [];
  return intent.told.flatMap(({ receipt }): Violation[] => {
    const { messageId: id, delivery, reason = "" } = receipt;
    const isCommitted = places.has(id);
    const notices = noticed.get(id) ?? [];
    const ends = intent.told
      .filter((other) => other.receipt.messageId === id)
      .map((other) => other.receipt.delivery);
    const about = `${intent.id}, message ${id}, was told ${delivery} ${reason}`;
    if (delivery === "sent" && !isCommitted)
      return [{ kind: "lost", what: `${about} and is not at the relay` }];
    const isTold =
      isCommitted || notices.length > 0 || ends.some((end) => end !== "queued" && end !== "sent");
    if (delivery === "queued" && !isTold) return [{ kind: "lost", what: `${about} and nothing came of it` }];
    if ((delivery === "rejected" || isEnd(reason)) && isCommitted && !ledger.copied.has(id))
      return [{ kind: "lie", what: `${about} and is at the relay` }];
    return [];
  });
}

function noticesLie({ noticed, places, ledger }: Facts): Violation[] {
  return [...noticed]
    .filter(([id, reasons]) => places.has(id) && !ledger.copied.has(id) && reasons.some(isVoid))
    .map(([id, reasons]) => ({
      kind: "lie",
      what: `the notice of ${id} says ${reasons.join()}: no effect, and it is at the relay`,
    }));
}

/** The reason of a write that was stored and given up before it was sent. */
function isEnd(reason = ""): boolean {
  return /^(expired|dropped):/.test(reason);
}

function isToldVoid({ intents }: Ledger, id: string): boolean {
  return intents.some(({ told }) =>
    told.some(({ receipt }) => receipt.messageId === id && isEnd(receipt.reason)),
  );
}

function isVoid(reason: string): boolean {
  return noEffect.includes(reason);
}

/**
 * What one file took first must take effect first. A record that was given up in one file and sent from a copy of it
 * has no place in the order.
 */
function inverted({ store, taken }: Lineage, { ledger, places, noticed }: Facts): Violation[] {
  const ordered = taken
    .toSorted((a, b) => a.id - b.id)
    .flatMap(({ id, messageId }) => {
      const place = places.get(messageId);
      const isSplit =
        ledger.copied.has(messageId) && (noticed.has(messageId) || isToldVoid(ledger, messageId));
      return place === undefined || isSplit ? [] : [{ id, place }];
    });
  return ordered.flatMap(({ id, place }, index): Violation[] => {
    const before = ordered[index - 1];
    if (before === undefined || before.place < place) return [];
    return [{ kind: "inversion", what: `${store}: record ${id} took effect before record ${before.id}` }];
  });
}

/** Every inbox was read whole, once, in its order; every message is in one inbox. */
function read({ ledger, relay, places }: Facts): Violation[] {
  const agents = [...new Set(ledger.lineages.map(({ agent }) => agent))];
  const inboxes = agents.map((agent) => ({ agent, rows: relay.inbox(agent) }));
  const found: Violation[] = inboxes.flatMap(({ agent, rows }): Violation[] => {
    const seen = new Map((ledger.readings.get(agent) ?? []).map(({ seq, messageId }) => [seq, messageId]));
    const gap = rows.find(({ seq }, index) => seq !== index + 1);
    if (gap !== undefined)
      return [{ kind: "lost", what: `the inbox of ${agent} has a gap before ${gap.seq}` }];
    const other = rows.find(({ seq, messageId }) => seen.get(seq) !== messageId);
    return other === undefined
      ? []
      : [{ kind: "lost", what: `${agent} did not read ${other.messageId} at seq ${other.seq}` }];
  });
  const inInboxes = inboxes.flatMap(({ rows }) => rows.map(({ messageId }) => messageId));
  const stored = inInboxes.filter((id) => places.has(id));
  if (new Set(inInboxes).size !== inInboxes.length)
    found.push({ kind: "doubled", what: "a message is in an inbox twice" });
  if (stored.length !== places.size)
    found.push({ kind: "lost", what: `${places.size - stored.length} messages are in no inbox` });
  return found;
}
