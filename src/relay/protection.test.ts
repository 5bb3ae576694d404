/** What a request may cost: sizes, depth, fields, time; and what every answer says about itself. */
import { describe, expect, test } from "bun:test";
import { type RunningRelay, runningRelay } from "../../test/fixtures/running-relay.ts";
import { VirtualClock } from "../base/clock.ts";
import { createLog } from "../base/log.ts";
import { limits } from "../limits.ts";
import { readJson } from "./body.ts";
import { keptCounts } from "./counts.ts";
import { createMetrics } from "./metrics.ts";
import { inTime } from "./time.ts";

type Given = { headers?: Record<string, string>; body?: string | ReadableStream<Uint8Array> };

function send(relay: RunningRelay, { headers = {}, body = "{}" }: Given): Promise<Response> {
  return fetch(`${relay.server.url}/api/v1/messages`, {
    method: "POST",
    headers: {
      Authorization: `Bearer ${relay.operatorToken}`,
      "Content-Type": "application/json",
      ...headers,
    },
    body,
  });
}

function inChunks(text: string): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (let at = 0; at < text.length; at += 65_536)
        controller.enqueue(Buffer.from(text.slice(at, at + 65_536)));
      controller.close();
    },
  });
}

const nested = (depth: number) => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;
const large = JSON.stringify({ to: "alice", body: "x".repeat(limits.relayRequestBytesMax) });
const many = Object.fromEntries(
  Array.from({ length: limits.requestFieldsMax + 1 }, (_, i) => [`X-${i}`, "1"]),
);

const refused: { what: string; given: Given; answer: string }[] = [
  { what: "an announced body that is too large", given: { body: large }, answer: "413 too_large" },
  { what: "a body that turns out too large", given: { body: inChunks(large) }, answer: "413 too_large" },
  {
    what: "JSON nested too deep",
    given: { body: nested(limits.jsonDepthMax + 1) },
    answer: "400 bad_request",
  },
  {
    what: "JSON nested so deep that a parser may give up",
    given: { body: "[".repeat(500_000) },
    answer: "400 bad_request",
  },
  { what: "too many header fields", given: { headers: many }, answer: "431 head_too_large" },
  { what: "what is no JSON", given: { body: '{"to":' }, answer: "400 bad_request" },
  {
    what: "what is no UTF-8",
    given: { body: inChunks("\u00ff").pipeThrough(bytes([0x22, 0xff, 0x22])) },
    answer: "400 bad_request",
  },
  {
    what: "another type",
    given: { headers: { "Content-Type": "text/plain" } },
    answer: "415 unsupported_media_type",
  },
];

/** Replaces whatever comes by these bytes. */
function bytes(values: number[]): TransformStream<Uint8Array, Uint8Array> {
  return new TransformStream({ transform: (_, controller) => controller.enqueue(new Uint8Array(values)) });
}

describe("requests that cost too much", () => {
  test.each(refused)("[C.25] S18: $what is refused with $answer", async ({ given, answer }) => {
    await using relay = await runningRelay();
    const response = await send(relay, given);
    const problem = (await response.json()) as { code: string; instance: string };
    expect(`${response.status} ${problem.code}`).toBe(answer);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    expect(problem.instance).toBe(`urn:agent-relay:request:${response.headers.get("x-request-id")}`);
    expect((await relay.operator.getStatus({})).messages).toBe(0);
  });

  test("[C.25] S18: a body that drips in is given up after requestReadMs", async () => {
    const clock = new VirtualClock(0);
    const dripping = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(Buffer.from('{"a":')),
    });
    const request = new Request("http://127.0.0.1/", { method: "POST", body: dripping });
    const reading = readJson(clock, request).catch((error: unknown) => error);
    clock.advance(limits.requestReadMs - 1);
    expect(await Promise.race([reading, Promise.resolve("still reading")])).toBe("still reading");
    clock.advance(1);
    expect(await reading).toMatchObject({ code: "too_slow", status: 408 });
  });

  test("[C.25] an operation that takes too long is answered; its late failure troubles nobody", async () => {
    const clock = new VirtualClock(0);
    const work = Promise.withResolvers<string>();
    const answered = inTime(clock, "Do it", work.promise).catch((error: unknown) => error);
    clock.advance(limits.operationMs);
    expect(await answered).toMatchObject({ code: "unavailable", retry: "same-key" });
    work.reject(new Error("later"));
    await Bun.sleep(0);
    expect(await inTime(clock, "Do it", Promise.resolve("done"))).toBe("done");
  });
});

describe("what answers and logs say", () => {
  test("[C.23] every error is a problem with type, title, status, detail, code and instance", async () => {
    await using relay = await runningRelay();
    const answers = await Promise.all(
      ["/none", "/api/v1/none", "/api/v1/agents", "/api/v1/backups", "/metrics?x", "/api/mcp"].map((path) =>
        fetch(`${relay.server.url}${path}`, { headers: { Authorization: "Bearer wrong" } }),
      ),
    );
    const problems = (await Promise.all(answers.map((answer) => answer.json()))) as Record<string, unknown>[];
    expect(problems.map(({ code }) => code)).toEqual([
      "not_found",
      "not_found",
      "unauthorized",
      "method_not_allowed",
      "unauthorized",
      "method_not_allowed",
    ]);
    expect(problems.map((problem) => Object.keys(problem).sort().slice(0, 7).join())).toEqual(
      problems.map(({ data }) =>
        data === undefined
          ? "code,detail,instance,status,title,type"
          : "code,data,detail,instance,status,title,type",
      ),
    );
    expect(answers[3]?.headers.get("allow")).toBe("POST");
  });

  test("a log line has the request's id, trace and operation, and nothing of its body", async () => {
    const lines: string[] = [];
    await using relay = await runningRelay({ log: createLog("debug", (line) => lines.push(line)) });
    const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const body = JSON.stringify({ to: "operator", body: "private words" });
    const response = await send(relay, { headers: { traceparent: trace }, body });
    const line = lines
      .map((text) => JSON.parse(text))
      .find(({ requestId }) => requestId === response.headers.get("x-request-id"));
    expect(line).toMatchObject({
      msg: "Request",
      operation: "sendMessage",
      status: 200,
      trace,
      principal: "operator",
    });
    expect(lines.join("")).not.toContain("private words");
    expect(lines.join("")).not.toContain(relay.operatorToken);
  });
});

describe("figures", () => {
  test("are Prometheus text, by operation and status; what nobody serves is one series", async () => {
    await using relay = await runningRelay();
    await relay.operator.listAgents({});
    for (let i = 0; i < 5; i += 1) await fetch(`${relay.server.url}/none/${i}`);
    const text = await (await fetch(`${relay.server.url}/metrics`)).text();
    const lines = text.trimEnd().split("\n");
    const form = /^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{([a-z_]+="[^"\n]*",?)+\})? -?[\d.e+]+)$/;
    expect(lines.filter((line) => !form.test(line))).toEqual([]);
    expect(lines).toContain('agent_relay_request_seconds_count{operation="listAgents",status="200"} 1');
    expect(lines).toContain('agent_relay_request_seconds_count{operation="unknown",status="404"} 5');
    expect(lines).toContain('agent_relay_refusals_total{code="not_found"} 5');
    expect(lines).toContain("agent_relay_agents 1");
  });

  test("a histogram adds up, and label values cannot break out", () => {
    const metrics = createMetrics();
    for (const ms of [0.5, 3, 3, 30_000])
      metrics.took("agent_relay_request_seconds", { operation: 'a"\n\\' }, ms);
    const text = metrics.text([]);
    const label = String.raw`operation="a\"\n\\"`;
    expect(text).toContain(`_bucket{${label},le="0.001"} 1\n`);
    expect(text).toContain(`_bucket{${label},le="0.005"} 3\n`);
    expect(text).toContain(`_bucket{${label},le="10"} 3\n`);
    expect(text).toContain(`_bucket{${label},le="+Inf"} 4\n`);
    expect(text).toContain(`_count{${label}} 4\n`);
  });

  test("there is a bound on series", () => {
    const metrics = createMetrics();
    for (let i = 0; i < limits.metricSeriesMax + 100; i += 1) {
      metrics.count("agent_relay_refusals_total", { code: `c${i}` });
    }
    expect(metrics.text([]).match(/^agent_relay_refusals_total\{/gm)).toHaveLength(limits.metricSeriesMax);
  });

  test("counts that take long are kept; questions together share one; fast ones are always fresh", async () => {
    let now = 0;
    let asked = 0;
    let takes = 100;
    const counts = keptCounts(
      async () => {
        asked += 1;
        now += takes;
        return { agents: asked, messages: 0, unread: 0, obligationsOpen: 0 };
      },
      () => now,
    );
    await Promise.all([counts(), counts()]);
    expect((await counts()).agents).toBe(1);
    now += 100 * limits.countsKeptTimes;
    takes = 0;
    expect((await counts()).agents).toBe(2);
    expect((await counts()).agents).toBe(3);
  });
});
