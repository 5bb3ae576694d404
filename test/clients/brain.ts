/**
 * The scripted model behind both endpoints. It has no state: what it does next follows from the conversation it is
 * shown, so a session that was killed and resumed goes on where it was. Orders stand in lines of what it reads.
 */

/** One thing of the conversation, oldest first, the same for both endpoints. */
export type Item =
  | { kind: "text"; text: string }
  | { kind: "call"; tool: string; args: unknown }
  | { kind: "result"; text: string };

/** What the model does: says something, or calls one tool by its bare name; after a pause. */
export type Move = { pauseMs: number } & (
  | { kind: "say"; text: string }
  | { kind: "call"; tool: string; args: Record<string, unknown> }
);

type Order = { tool: string; args: Record<string, unknown> };

/** `DO tool {json}` in a line of its own, also one that an envelope has quoted. */
const orderLine = /^\s*(?:\|\s*)?DO ([A-Za-z_]+)(?: (\{.*\}))?\s*$/gm;
/** `PAUSE ms`: the next answer of the model comes that much later. */
const pauseLine = /^\s*(?:\|\s*)?PAUSE (\d+)\s*$/m;
/** An envelope that owes a reply: the head names the message. */
const owedReply = /\[message ([0-9a-f-]{36}) [^\]\n]*reply expected[^\]\n]*\]/g;

/**
 * The next move: the first order that was not carried out, else a closing sentence. A message that expects a reply is
 * an order to reply to it.
 */
export function nextMove(items: readonly Item[]): Move {
  const orders = items.flatMap((item) => (item.kind === "text" ? ordersIn(item.text) : []));
  const done = items.flatMap((item) =>
    item.kind === "call" ? [signature(bareName(item.tool), item.args)] : [],
  );
  const open = firstOpen(orders, done);
  const last = items.findLast((item) => item.kind === "text");
  const pauseMs = open === undefined ? 0 : Number(last?.text.match(pauseLine)?.[1] ?? 0);
  if (open !== undefined) return { kind: "call", tool: open.tool, args: open.args, pauseMs };
  const results = items.filter((item) => item.kind === "result").length;
  return { kind: "say", text: `done after ${results} results`, pauseMs };
}

/** A tool's own name: `mcp__agent-relay__relay_reply` is `relay_reply`. */
export function bareName(name: string): string {
  return name.includes("__") ? name.slice(name.lastIndexOf("__") + 2) : name;
}

function ordersIn(text: string): Order[] {
  const direct = [...text.matchAll(orderLine)].map(([, tool = "", json]) => ({
    tool,
    args: json === undefined ? {} : (JSON.parse(json) as Record<string, unknown>),
  }));
  const owed = [...text.matchAll(owedReply)].map(([, messageId = ""]) => ({
    tool: "relay_reply",
    args: { messageId, body: `answer to ${messageId}` },
  }));
  return [...direct, ...owed];
}

/** Each order is carried out once per time it stands there; one reply per message, however often it was shown. */
function firstOpen(orders: readonly Order[], done: readonly string[]): Order | undefined {
  const left = [...done];
  const replied = new Set<string>();
  for (const order of orders) {
    const mark = signature(order.tool, order.args);
    if (order.tool === "relay_reply" && replied.has(mark)) continue;
    replied.add(mark);
    const at = left.indexOf(mark);
    if (at === -1) return order;
    left.splice(at, 1);
  }
  return undefined;
}

function signature(tool: string, args: unknown): string {
  return `${tool} ${canonical(args)}`;
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join(",")}}`;
}
