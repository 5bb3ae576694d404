/**
 * Every tool and every operation with every scope and every kind of principal, one scope at a time, against the
 * matrix of matrix-rows.ts: what is not allowed there is denied, and what is denied says so.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realClock } from "../../src/base/clock.ts";
import { realRandom } from "../../src/base/random.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import type { NewToken } from "../../src/store/store.ts";
import { operationTable } from "../../src/wire/api.ts";
import { type AgentId, asId, type TokenId, uuidV7 } from "../../src/wire/id.ts";
import { type Scope, scopes } from "../../src/wire/scope.ts";
import { tokenHash, tokenText } from "../../src/wire/token.ts";
import { toolTable } from "../../src/wire/tools.ts";
import { type RunningRelay, runningRelay } from "../fixtures/running-relay.ts";
import {
  type Allowed,
  atMost,
  everyScope,
  type Kind,
  kinds,
  type MatrixScope,
  operationRows,
  type Row,
  toolRows,
} from "./matrix-rows.ts";

/** On a busy machine, too. */
setDefaultTimeout(60_000);

type Holder = { kind: Kind; scope: MatrixScope | undefined; self: string; token: string };

const folder = mkdtempSync(join(tmpdir(), "relay-matrix-"));
const home = join(folder, "home");
const lanes = 16;
const hourMs = 3_600_000;
let relay: RunningRelay;
const holders: Holder[] = [];

const newId = () => uuidV7(realClock.now(), realRandom.bytes(10));

/** Tokens with one scope each, of every kind, as no operation of the relay would make them. */
async function makeHolders(): Promise<void> {
  const path = join(home, "relay", "relay.sqlite");
  const store = await openSqliteStore({ path, clock: realClock, random: realRandom });
  const now = realClock.now();
  const [agent, operator] = [await store.agentByName("subject"), await store.agentByName("operator")];
  for (const kind of kinds)
    for (const scope of [...everyScope, undefined]) {
      const token = tokenText(kind === "displaced" ? "runner" : kind, realRandom.bytes(32));
      const stored: NewToken = {
        id: asId<TokenId>(newId()),
        kind: kind === "displaced" ? "runner" : kind,
        ...{ hash: tokenHash(token), note: "tried" },
        // The product's own type does not know the scope of a hand-written list.
        scopes: scope === undefined ? [] : [scope as Scope],
      };
      const self = kind === "runner" ? `subject-${scope ?? "none"}`.replace(":", ".") : "subject";
      if (kind === "runner") {
        const agentId = asId<AgentId>(newId());
        const later = { displacedUntil: now + hourMs, leaseUntil: now + hourMs };
        const place = { provider: "exec", machine: "mill", takeover: false, mayTakeOver: false };
        await store.enrol(
          { agentId, name: self, profile: "all", token: { ...stored, agentId }, ...place, ...later },
          now,
        );
      } else {
        const owner = { operator, host: undefined, displaced: agent, agent }[kind];
        await store.addToken({ ...stored, agentId: owner?.id }, now);
      }
      holders.push({ kind, scope, self: kind === "operator" ? "operator" : self, token });
    }
  await store.close();
}

beforeAll(async () => {
  {
    await using first = await runningRelay({ home });
    await first.operator.setProfile({ name: "all", scopes: scopes.filter((one) => isAgents(one)) });
    await first.enrol("another");
    await first.enrol("subject");
    await first.operator.assignProfile({ agent: "subject", profile: "all" });
  }
  await makeHolders();
  // Asked without a token for every row.
  relay = await runningRelay({ home, failedLoginsMax: 10_000 });
});
afterAll(async () => {
  await relay[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const isAgents = (scope: string) => /^(?:message|agent:read|workspace|command)/.test(scope);

/** What a request came to: the status, and the code of its problem. */
type Answer = { status: number; code: string | undefined };

async function ask(row: Row, self: string, token: string | undefined): Promise<Answer> {
  const fresh = tokenHash(tokenText("host", realRandom.bytes(32)));
  const fill = (text: string) =>
    text.replace("{self}", self).replace("{fresh}", fresh).replace("{newId}", newId());
  const [method = "", path = ""] = fill(row.ask).split(" ");
  const stop = new AbortController();
  const response = await fetch(`${relay.server.url}${path}`, {
    method,
    headers: {
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
      ...(row.body === undefined ? {} : { "Content-Type": "application/json" }),
    },
    ...(row.body === undefined ? {} : { body: fill(JSON.stringify(row.body)) }),
    signal: stop.signal,
  });
  const type = response.headers.get("content-type") ?? "";
  if (type.startsWith("text/event-stream")) {
    stop.abort();
    return { status: response.status, code: undefined };
  }
  const text = await response.text();
  const code = type.includes("problem+json") ? String(JSON.parse(text).code) : undefined;
  return { status: response.status, code };
}

/** True for an answer that says no to whoever asked; every other one says something about what was asked. */
function isDenied({ status, code }: Answer, { always }: Row): boolean {
  if (status === always) return false;
  return status === 401 || status === 403 || code === "displaced";
}

/** Runs over many things at a time, in order of the results. */
async function each<Item, Value>(
  items: readonly Item[],
  work: (item: Item) => Promise<Value>,
): Promise<Value[]> {
  const values: Value[] = [];
  const queue = [...items.entries()];
  const lane = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift())
      values[next[0]] = await work(next[1]);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return values;
}

const word = ({ kind, scope }: Holder) => `${kind} ${scope ?? "-"}`;

/** The holders that the matrix lets in. */
function expected(row: { by: Allowed; host?: readonly MatrixScope[] }): string[] {
  return holders
    .filter(({ kind, scope }) => {
      if (typeof row.by !== "string" && scope !== undefined && atMost[kind]?.includes(scope) === false)
        return false;
      const by = kind === "host" && row.host !== undefined ? row.host : row.by;
      return typeof by === "string" || (scope !== undefined && by.includes(scope));
    })
    .map(word);
}

type Answered = { holder: Holder; answer: Answer };

const answersTo = (row: Row) =>
  each(holders, async (holder) => ({ holder, answer: await ask(row, holder.self, holder.token) }));

/** Whom the relay let in. */
const letIn = (answers: readonly Answered[], row: Row) =>
  answers.filter(({ answer }) => !isDenied(answer, row)).map(({ holder }) => word(holder));

describe("the matrix", () => {
  test("names every scope, operation and tool that there is", () => {
    expect([...everyScope]).toEqual(scopes as string[] as MatrixScope[]);
    const rows = new Set(Object.keys(operationRows).map((name) => name.split(" ")[0] ?? ""));
    expect(Object.keys(operationTable).filter((name) => !rows.has(name))).toEqual([]);
    expect(Object.keys(toolRows).sort()).toEqual(Object.keys(toolTable).sort());
  });

  for (const [name, row] of Object.entries(operationRows))
    test(`[P3.11] ${name}: whom the matrix lets in, and nobody else`, async () => {
      const answers = await answersTo(row);
      expect(letIn(answers, row)).toEqual(expected(row));
      // An operation that failed has decided nothing, and one that asks for less haste neither.
      const undecided = answers.filter(({ answer }) => answer.status >= 500 || answer.status === 429);
      expect(undecided.filter(({ answer }) => answer.status !== row.busy)).toEqual([]);
    });

  test("without a token, or with one that is not known, only what is open to all answers", async () => {
    for (const token of [undefined, tokenText("operator", realRandom.bytes(32)), "arl_opr_short"]) {
      const open = Object.entries(operationRows)
        .filter(([, { by, local }]) => by === "nobody" || (local === true && token === undefined))
        .map(([name]) => name);
      const answers = await each(Object.entries(operationRows), async ([name, row]) => ({
        ...{ name, ...(await ask(row, "subject", token)) },
      }));
      const answered = answers.filter(({ name, status }) => status !== 401 || name === "renewToken");
      expect(answered.map(({ name }) => name)).toEqual(open);
    }
  });
});

test("a row that asks for another scope, or for none, does not go unseen", async () => {
  const row = operationTable.listAgents as { scope: string };
  const wanted = row.scope;
  const asked = operationRows.listAgents;
  if (asked === undefined) throw new Error("Try the matrix: it has no row listAgents");
  const found: string[][] = [];
  for (const scope of ["any", "message:read"]) {
    row.scope = scope;
    found.push(letIn(await answersTo(asked), asked));
  }
  row.scope = wanted;
  expect(found.map((words) => Bun.deepEquals(words, expected(asked)))).toEqual([false, false]);
  expect(letIn(await answersTo(asked), asked)).toEqual(expected(asked));
});

/** One MCP request as a 2025-11-25 client sends it without a session. */
async function mcp(token: string, method: string, params: Record<string, unknown>) {
  const response = await fetch(relay.server.mcpUrl, {
    method: "POST",
    headers: {
      Authorization: `Bearer ${token}`,
      "Content-Type": "application/json",
      Accept: "application/json, text/event-stream",
      "MCP-Protocol-Version": "2025-11-25",
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
  const text = await response.text();
  const data = /^data: (.*)$/m.exec(text)?.[1] ?? text;
  return JSON.parse(data) as {
    result?: { tools?: { name: string }[]; isError?: boolean; content?: { text: string }[] };
    error?: { code: number; message: string };
    code?: string;
  };
}

describe("the tools", () => {
  test("[P3.1] [P3.11] each is listed for its scope and nothing else", async () => {
    const lists = await each(holders, async (holder) => {
      const { result } = await mcp(holder.token, "tools/list", {});
      return [word(holder), (result?.tools ?? []).map(({ name }) => name).sort()];
    });
    const wanted = holders.map((holder) => [
      word(holder),
      Object.entries(toolRows)
        .filter(([, { by }]) => by === holder.scope && atMost[holder.kind]?.includes(by) !== false)
        .map(([name]) => name)
        .sort(),
    ]);
    expect(lists).toEqual(wanted);
  });

  for (const [name, row] of Object.entries(toolRows))
    test(`[P3.7] [P3.11] ${name}: whom the matrix lets in, and nobody else`, async () => {
      const answers = await each(holders, async (holder) => {
        const { result, error } = await mcp(holder.token, "tools/call", { name, arguments: row.arguments });
        const text = result?.content?.[0]?.text ?? error?.message ?? "";
        return { holder, denied: /^forbidden\b/.test(text), answered: result !== undefined };
      });
      const allowed = answers.filter(({ denied }) => !denied);
      expect(allowed.map(({ holder }) => word(holder))).toEqual(expected({ by: [row.by], host: [] }));
      expect(answers.filter(({ denied, answered }) => !denied && !answered)).toEqual([]);
    });
});
