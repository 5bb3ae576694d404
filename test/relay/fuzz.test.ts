/**
 * 50,000 hostile bodies over every operation and every tool: each is answered in the words of the product, none by a
 * fault of the relay, and what is slow keeps nobody else waiting. Again with AGENT_RELAY_TEST_SEED.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import { z } from "zod";
import { type OperationName, operationTable } from "../../src/wire/api.ts";
import { errorTable, isErrorCode } from "../../src/wire/error.ts";
import { toolTable } from "../../src/wire/tools.ts";
import { type RunningRelay, runningRelay } from "../fixtures/running-relay.ts";
import { type RawAnswer, RawConnection } from "../hostile/wire.ts";
import { type HostileRequest, hostileRequests } from "./hostile-requests.ts";

const seed = Number(process.env.AGENT_RELAY_TEST_SEED ?? Date.now() % 1_000_000_000);
const bodies = 50_000;
const atOnce = 2_000;
const connections = 8;
const residentMostMiB = 900;

let relay: RunningRelay;
let tokens: { operator: string; runner: string; agent: string };
let known: { names: string[]; ids: string[] };

beforeAll(async () => {
  relay = await runningRelay({
    requestRate: { perSecond: 1_000_000, burst: 1_000_000 },
    failedLoginsMax: Number.MAX_SAFE_INTEGER,
  });
  const limits = { burst: 1_000_000, perMinute: 1_000_000 };
  await relay.operator.setProfile({ name: "victim", limits });
  const { runnerToken, token } = await relay.enrol("victim");
  await relay.operator.assignProfile({ agent: "victim", profile: "victim" });
  for (const name of ["ada", "bob"]) await relay.enrol(name);
  const sent = await relay.operator.sendMessage({ to: "victim", body: "hello", expectsReply: true });
  tokens = { operator: relay.operatorToken, runner: runnerToken, agent: token };
  known = { names: ["ada", "bob", "#mill", "@all", "hello", "exec", "tried"], ids: [sent.messageId] };
});
afterAll(() => relay[Symbol.asyncDispose]());

const problemSchema = z.object({
  type: z.string().startsWith("urn:agent-relay:error:"),
  title: z.string(),
  status: z.number(),
  detail: z.string().min(1).max(4_000),
  code: z.string().refine(isErrorCode),
});
const rpcSchema = z.object({
  jsonrpc: z.literal("2.0"),
  id: z.union([z.string(), z.number()]),
  result: z.unknown().optional(),
  error: z.object({ code: z.number(), message: z.string() }).optional(),
});

/** Whose token: the one that may, so that the body is looked at. */
function tokenFor({ about }: HostileRequest): string {
  if (Object.hasOwn(toolTable, about)) return tokens.agent;
  const { scope } = operationTable[about as OperationName];
  const runners = [
    "lane:deliver",
    "token:mint",
    "inbox:read",
    "receipt:write",
    "presence:write",
    "insight:write",
  ];
  return runners.includes(scope) ? tokens.runner : tokens.operator;
}

function requestBytes(request: HostileRequest): Buffer {
  const { method, target, type, lines, body } = request;
  const head = [
    `${method} ${target} HTTP/1.1`,
    `Host: ${new URL(relay.server.url).host}`,
    `Authorization: Bearer ${tokenFor(request)}`,
    "Accept: application/json, text/event-stream",
    ...lines,
    ...(type === "" ? [] : [`Content-Type: ${type}`]),
    `Content-Length: ${body.length}`,
  ];
  return Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`), body]);
}

/** What is wrong with an answer; undefined when nothing is. */
function faultOf(request: HostileRequest, { status, headers, body }: RawAnswer): string | undefined {
  const type = headers.get("content-type") ?? "";
  const text = body.toString();
  if (status === 202 && text === "") return undefined;
  if (status === 0 || status === 500) return `status ${status}`;
  if (type.startsWith("application/problem+json")) {
    const { data } = problemSchema.safeParse(JSON.parse(text));
    const row = data !== undefined && isErrorCode(data.code) ? errorTable[data.code] : undefined;
    return row?.status === status && data?.status === status ? undefined : `no problem details of ${status}`;
  }
  if (Object.hasOwn(toolTable, request.about)) {
    const message = /^data: (.*)$/m.exec(text)?.[1] ?? text;
    const { data } = rpcSchema.safeParse(JSON.parse(message));
    if (data === undefined || (data.result === undefined) === (data.error === undefined))
      return "no JSON-RPC";
    return data.error?.code === -32603 ? `a fault: ${data.error.message}` : undefined;
  }
  if (status !== 200) return `status ${status} of type ${type}`;
  const row = operationTable[request.about as OperationName];
  return row.reply.safeParse(JSON.parse(text)).success ? undefined : "a reply of another form";
}

type Fuzzed = {
  faults: string[];
  statuses: Record<string, number>;
  accepted: Set<string>;
  refused: Set<string>;
};

async function send(requests: HostileRequest[], done: Fuzzed): Promise<void> {
  const port = Number(new URL(relay.server.url).port);
  const lane = async () => {
    let connection = await RawConnection.open(port);
    for (let next = requests.pop(); next !== undefined; next = requests.pop()) {
      if (connection.closed) connection = await RawConnection.open(port);
      const answer = await connection.ask(requestBytes(next));
      done.statuses[answer.status] = (done.statuses[answer.status] ?? 0) + 1;
      (answer.status === 200 ? done.accepted : done.refused).add(next.about);
      // The rest of a body that is too large is not read: its connection ends.
      if (answer.status === 413) connection.close();
      const fault = faultOf(next, answer);
      if (fault === undefined) continue;
      const what = `${next.method} ${next.target.slice(0, 200)} [${next.how}] ${next.body.toString().slice(0, 300)}`;
      done.faults.push(`${fault}: ${what}: ${answer.body.toString().slice(0, 300)}`);
    }
    connection.close();
  };
  await Promise.all(Array.from({ length: connections }, lane));
}

test(`[C.31] ${bodies} hostile bodies over every operation and tool are answered in the product's own words (seed ${seed})`, async () => {
  const done: Fuzzed = { faults: [], statuses: {}, accepted: new Set(), refused: new Set() };
  const requests = hostileRequests(known, ["makeBackup"]);
  const began = performance.now();
  for (let round = 0; round < bodies / atOnce; round += 1)
    await send(fc.sample(requests, { numRuns: atOnce, seed: seed + round }), done);
  const resident = process.memoryUsage().rss / 2 ** 20;
  const seconds = (performance.now() - began) / 1000;
  console.log(
    `figures seed ${seed}: ${JSON.stringify(done.statuses)} in ${seconds.toFixed(0)} s, ${resident.toFixed(0)} MiB resident`,
  );
  expect(done.faults.slice(0, 5)).toEqual([]);
  expect(resident).toBeLessThan(residentMostMiB);
  // Each is reached and each refuses something: a fuzz that never gets past the door proves nothing.
  const all = [...Object.keys(operationTable), ...Object.keys(toolTable)];
  expect(all.filter((name) => !done.refused.has(name) && !done.accepted.has(name))).toEqual([]);
  expect(done.accepted.size).toBeGreaterThan(all.length * 0.7);
  expect((await relay.operator.getStatus({})).messages).toBeGreaterThan(2);
}, 120_000);

/** An answer of the relay as the bytes said it. */
const answer = (status: number, type: string, body: unknown): RawAnswer => ({
  status,
  headers: new Map([["content-type", type]]),
  body: Buffer.from(typeof body === "string" ? body : JSON.stringify(body)),
});

test("a fault, a refusal in other words and a reply of another form do not go unseen", () => {
  const request: HostileRequest = {
    ...{ about: "getRelay", method: "GET", target: "/api/v1/relay", type: "", how: "nothing", lines: [] },
    body: Buffer.alloc(0),
  };
  const problem = { type: "urn:agent-relay:error:not_found", title: "x", status: 404, detail: "x" };
  const told = "application/problem+json";
  expect([
    faultOf(request, answer(500, told, { ...problem, status: 500, code: "internal" })),
    faultOf(request, answer(0, "", "")),
    faultOf(request, answer(404, told, { ...problem, code: "nonsense" })),
    faultOf(request, answer(403, told, { ...problem, code: "not_found" })),
    faultOf(request, answer(404, "text/html", "no")),
    faultOf(request, answer(200, "application/json", { product: "another" })),
    faultOf({ ...request, about: "relay_reply" }, answer(200, "application/json", { jsonrpc: "2.0", id: 1 })),
    faultOf(request, answer(404, told, { ...problem, code: "not_found" })),
  ]).toEqual([
    "status 500",
    "status 0",
    "no problem details of 404",
    "no problem details of 403",
    "status 404 of type text/html",
    "a reply of another form",
    "no JSON-RPC",
    undefined,
  ]);
});
