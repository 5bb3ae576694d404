/**
 * An agent of the demo: a plain MCP client (the official SDK) that knows nothing of the relay but the address and
 * the secret in its environment. It sends numbered messages to its peer, reads the peer's, and keeps a ledger.
 *
 *   agent-relay run exec --name alice … -- tools/bun examples/demo/agent.ts --to bob --count 300 --ledger FILE
 */
import { parseArgs } from "node:util";
import { Client, ProtocolError, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { z } from "zod";
import { type Clock, realClock, sleep } from "../../src/base/clock.ts";
import { deadline } from "../../src/base/signals.ts";
import { receiptSchema } from "../../src/wire/receipt.ts";
import { bodyOf, type LedgerLine, linesOf, openLedger, parseBody, parseLedger } from "./ledger.ts";

type Settings = {
  name: string;
  to: string;
  count: number;
  ledger: string;
  era: "legacy" | "modern";
  /** A name that nobody has: the first queued answer is followed by a message to it. */
  stray: string | undefined;
  /** Time from one call to the next, ms. */
  paceMs: number;
  /** Sends in flight at once; 1 makes the order of the numbers the order of the writes. */
  window: number;
  deadlineMs: number;
  url: string;
  secret: string;
};

/** A ledger line before time and run are added. */
type Entry = LedgerLine extends infer Line
  ? Line extends LedgerLine
    ? Omit<Line, "at" | "run">
    : never
  : never;

type Desk = {
  settings: Settings;
  clock: Clock;
  signal: AbortSignal;
  client: Client;
  /** Numbers with their keys from earlier starts, not answered yet. */
  open: Map<number, string>;
  /** The first number never begun. */
  next: number;
  unanswered: number;
  readSeq: number;
  readNumbers: Set<number>;
  /** Id of the message to the stray name, once it was written and until its refusal was heard. */
  strayId: string | undefined;
  strayed: boolean;
  write(entry: Entry): void;
};

const inboxSchema = z.object({
  messages: z.array(z.object({ id: z.string(), seq: z.number(), from: z.string(), body: z.string() })),
  notices: z.array(z.object({ reason: z.string(), idempotencyKey: z.string() })),
});

const agentsSchema = z.object({ agents: z.array(z.object({ name: z.string() })) });

/** How often the inbox is looked at, and how long a call that threw is left alone, ms. */
const pollMs = 120;
const againMs = 250;

function settingsFrom(argv: string[], environment: Record<string, string | undefined>): Settings {
  const { values } = parseArgs({
    args: argv,
    options: {
      to: { type: "string" },
      count: { type: "string", default: "300" },
      ledger: { type: "string" },
      era: { type: "string", default: "modern" },
      "pace-ms": { type: "string", default: "40" },
      stray: { type: "string" },
      window: { type: "string", default: "1" },
      "deadline-ms": { type: "string", default: "120000" },
    },
  });
  return {
    name: wanted("AGENT_RELAY_AGENT", environment.AGENT_RELAY_AGENT),
    to: wanted("--to", values.to),
    count: Number(values.count),
    ledger: wanted("--ledger", values.ledger),
    era: values.era === "legacy" ? "legacy" : "modern",
    stray: values.stray,
    paceMs: Number(values["pace-ms"]),
    window: Number(values.window),
    deadlineMs: Number(values["deadline-ms"]),
    url: wanted("AGENT_RELAY_MCP_URL", environment.AGENT_RELAY_MCP_URL),
    secret: wanted("AGENT_RELAY_SESSION_TOKEN", environment.AGENT_RELAY_SESSION_TOKEN),
  };
}

function wanted(what: string, value: string | undefined): string {
  if (value === undefined || value === "") throw new Error(`Start the demo agent: ${what} is missing`);
  return value;
}

/** Connects as an ordinary client; in the modern era pinned, so that a silent fall back would fail. */
async function connect(settings: Settings, onStreamError: (error: Error) => void): Promise<Client> {
  const client = new Client(
    { name: `demo-${settings.name}`, version: "1.0.0" },
    { versionNegotiation: { mode: settings.era === "legacy" ? "legacy" : { pin: "2026-07-28" } } },
  );
  client.onerror = onStreamError;
  const transport = new StreamableHTTPClientTransport(new URL(settings.url), {
    requestInit: { headers: { Authorization: `Bearer ${settings.secret}` } },
  });
  await client.connect(transport);
  return client;
}

/** Calls a tool. A thrown error goes into the ledger as a fault and gives undefined. */
async function call(desk: Desk, action: string, request: Parameters<Client["callTool"]>[0]) {
  try {
    const result = await desk.client.callTool(request);
    hearOfStray(desk, request.name, result.content);
    return result;
  } catch (error) {
    if (desk.signal.aborted) return undefined;
    const kind = error instanceof ProtocolError ? "protocol" : "transport";
    desk.write({ type: "fault", kind, action, text: textOf(error) });
    return undefined;
  }
}

function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${textOf(error.cause)}`;
}

/** A refusal of the stray message comes with the result of whatever is called next. */
function hearOfStray(desk: Desk, via: string, content: unknown): void {
  const { strayId } = desk;
  if (strayId === undefined) return;
  const blocks = z.array(z.object({ text: z.string() })).safeParse(content);
  const told = blocks.data?.find(
    ({ text }) => text.startsWith("[agent-relay notices") && text.includes(strayId),
  );
  if (told === undefined) return;
  desk.strayId = undefined;
  desk.write({ type: "bounced", messageId: strayId, via, text: told.text });
}

/** Writes to a name that nobody has, once in the agent's life: it is queued like every other message. */
async function goAstray(desk: Desk): Promise<void> {
  const { stray, name } = desk.settings;
  if (stray === undefined || desk.strayed) return;
  desk.strayed = true;
  const key = `${name}-stray-${crypto.randomUUID()}`;
  const result = await call(desk, "send astray", {
    name: "relay_send_message",
    arguments: { to: stray, body: `Is ${stray} here?`, idempotencyKey: key },
  });
  const receipt = receiptSchema.safeParse(result?.structuredContent);
  if (!receipt.success) return;
  const { delivery, messageId } = receipt.data;
  desk.write({ type: "stray", to: stray, key, delivery, messageId });
  desk.strayId = messageId;
}

/** Sends one number until it is answered, always under the same key. */
async function sendOne(desk: Desk, n: number, key: string): Promise<void> {
  const { settings, clock, signal } = desk;
  while (!signal.aborted) {
    desk.write({ type: "intent", n, key });
    const result = await call(desk, `send ${n}`, {
      name: "relay_send_message",
      arguments: { to: settings.to, body: bodyOf(n, settings.count, settings.name), idempotencyKey: key },
    });
    if (result !== undefined) {
      const receipt = receiptSchema.safeParse(result.structuredContent);
      desk.write({
        type: "told",
        n,
        delivery: receipt.success ? receipt.data.delivery : "unknown",
        messageId: receipt.success ? receipt.data.messageId : "",
        // The client has listed the tools, so it has checked the answer against the schema before it returned it.
        validated: receipt.success && result.isError !== true,
      });
      desk.unanswered -= 1;
      if (receipt.data?.delivery === "queued") await goAstray(desk);
      return;
    }
    await sleep(clock, againMs, signal);
  }
}

/** One of `window` senders: first what an earlier start left open, then new numbers. */
async function sendAll(desk: Desk): Promise<void> {
  const { settings, clock, signal } = desk;
  while (!signal.aborted) {
    const begun = clock.monotonic();
    const [left] = desk.open;
    if (left !== undefined) {
      desk.open.delete(left[0]);
      await sendOne(desk, ...left);
    } else if (desk.next <= settings.count) {
      const n = desk.next++;
      await sendOne(desk, n, `${settings.name}-${n}-${crypto.randomUUID()}`);
    } else return;
    const restMs = settings.paceMs * settings.window - (clock.monotonic() - begun);
    await sleep(clock, Math.max(1, restMs), signal);
  }
}

/** Waits until the relay knows the peer: a message to a name that nobody has is rejected. */
async function meetPeer(desk: Desk): Promise<void> {
  while (!desk.signal.aborted) {
    const result = await call(desk, "list agents", { name: "relay_list_agents", arguments: {} });
    const listed = agentsSchema.safeParse(result?.structuredContent);
    if (listed.success && listed.data.agents.some(({ name }) => name === desk.settings.to)) return;
    await sleep(desk.clock, pollMs, desk.signal);
  }
}

/** Reads the inbox until every message of the peer was read, every own one answered, and the stray one heard of. */
async function readAll(desk: Desk): Promise<void> {
  const { settings, clock, signal } = desk;
  const isDone = () =>
    desk.readNumbers.size >= settings.count && desk.unanswered <= 0 && desk.strayId === undefined;
  while (!signal.aborted && !isDone()) {
    await readOnce(desk);
    await sleep(clock, pollMs, signal);
  }
}

async function readOnce(desk: Desk): Promise<void> {
  const seen = desk.readSeq === 0 ? {} : { seenSeq: desk.readSeq };
  const result = await call(desk, "check", {
    name: "relay_check_messages",
    arguments: { limit: 200, ...seen },
  });
  if (result === undefined) return;
  if (result.isError === true) {
    desk.write({ type: "away", text: JSON.stringify(result.content).slice(0, 200) });
    return;
  }
  const inbox = inboxSchema.parse(result.structuredContent);
  for (const notice of inbox.notices)
    desk.write({ type: "notice", reason: notice.reason, key: notice.idempotencyKey });
  for (const { seq, id, from, body } of inbox.messages) {
    // What was shown before and not acknowledged yet is shown again: only the place in the inbox tells them apart.
    if (seq <= desk.readSeq) continue;
    desk.readSeq = seq;
    desk.readNumbers.add(parseBody(body)?.n ?? 0);
    desk.write({ type: "read", seq, id, from, body });
  }
}

/** What earlier starts of this agent left in the ledger. */
function memory(lines: readonly LedgerLine[], count: number) {
  const told = new Set(linesOf(lines, "told").map(({ n }) => n));
  const keys = new Map(linesOf(lines, "intent").map(({ n, key }) => [n, key]));
  const reads = linesOf(lines, "read");
  return {
    open: new Map([...keys].filter(([n]) => !told.has(n))),
    next: Math.max(0, ...keys.keys()) + 1,
    unanswered: count - told.size,
    readSeq: Math.max(0, ...reads.map(({ seq }) => seq)),
    readNumbers: new Set(reads.map(({ body }) => parseBody(body)?.n ?? 0)),
    strayed: linesOf(lines, "stray").length > 0,
    strayId: linesOf(lines, "bounced").length > 0 ? undefined : linesOf(lines, "stray").at(-1)?.messageId,
  };
}

/** Connects and lists the tools, again until the deadline: a failure is a fault like that of any other call. */
async function begin(settings: Settings, desk: Pick<Desk, "clock" | "signal" | "write">) {
  while (!desk.signal.aborted) {
    try {
      const client = await connect(settings, (error) => {
        if (!desk.signal.aborted)
          desk.write({ type: "fault", kind: "stream", action: "connection", text: textOf(error) });
      });
      return { client, tools: (await client.listTools()).tools };
    } catch (error) {
      desk.write({ type: "fault", kind: "transport", action: "connect", text: textOf(error) });
      await sleep(desk.clock, againMs, desk.signal);
    }
  }
  return undefined;
}

async function main(): Promise<number> {
  const settings = settingsFrom(Bun.argv.slice(2), process.env);
  using ledger = openLedger(settings.ledger);
  const run = crypto.randomUUID();
  const write = (entry: Entry) => ledger.append({ ...entry, at: clock.now(), run });
  using ending = deadline(clock, settings.deadlineMs, { action: `The demo agent ${settings.name}` });
  const { signal } = ending;
  const earlier = memory(parseLedger(await Bun.file(settings.ledger).text()), settings.count);
  const begun = await begin(settings, { clock, signal, write });
  if (begun === undefined) return 1;
  const { client, tools } = begun;
  write({
    type: "start",
    pid: process.pid,
    protocol: client.getNegotiatedProtocolVersion() ?? "unknown",
    tools: tools.filter(({ outputSchema }) => outputSchema !== undefined).map(({ name }) => name),
  });
  const desk: Desk = { settings, clock, signal, client, write, ...earlier };
  if (desk.next === 1) await meetPeer(desk);
  await Promise.all([readAll(desk), ...Array.from({ length: settings.window }, () => sendAll(desk))]);
  if (signal.aborted) return 1;
  write({ type: "done" });
  ending.abort();
  await client.close();
  return 0;
}

/** Its timers keep the process alive: between two calls nothing else does. */
const clock: Clock = {
  ...realClock,
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

// A stream that the client still holds must not keep a finished agent alive.
process.exit(await main());
