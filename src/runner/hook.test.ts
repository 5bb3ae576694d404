/** Hooks tell the runner what it can use, and never fail. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realClock } from "../base/clock.ts";
import { seededRandom } from "../base/random.ts";
import { askControl } from "./ask-control.ts";
import { startControl } from "./control.ts";
import type { ControlQuestion } from "./control-paths.ts";
import { loadEndpointFile, saveEndpointPort } from "./endpoint-file.ts";
import { hookLogOf, runHook, statusLine } from "./hook.ts";

const limits = { hookFieldCharactersMax: 10, hookLogBytesMax: 300 };
let home = "";
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "agent-relay-hook-"));
});
afterAll(() => rmSync(home, { recursive: true }));

const stop = {
  ...{ hook_event_name: "Stop", session_id: "c1", last_assistant_message: "x".repeat(50) },
  ...{ tool_input: { secret: "of a tool" }, stop_hook_active: false },
};
const environment = (folder: string) => ({
  AGENT_RELAY_RUNNER: folder,
  CLAUDE_CODE_MESSAGING_SOCKET: "/tmp/s",
  AGENT_RELAY_SESSION_TOKEN: "secret",
});
function run(folder: string, input: string, ask: (question: ControlQuestion) => Promise<unknown>) {
  return runHook({
    input,
    env: environment(folder),
    ask: (_, question) => ask(question),
    now: () => 0,
    limits,
  });
}

test("it tells known fields, cut, and the way to the inbox; nothing else, no secret", async () => {
  const asked: ControlQuestion[] = [];
  const printed = await run(home, JSON.stringify(stop), async (question) => {
    asked.push(question);
    return { reply: null };
  });
  expect(printed).toBe("");
  expect(asked).toEqual([
    {
      path: "/hook",
      method: "POST",
      body: {
        event: "Stop",
        input: {
          ...{ hook_event_name: "Stop", session_id: "c1", last_assistant_message: "x".repeat(10) },
          stop_hook_active: false,
        },
        env: { CLAUDE_CODE_MESSAGING_SOCKET: "/tmp/s" },
      },
    },
  ]);
});

test("it prints the runner's answer", async () => {
  const reply = { decision: "block", reason: "a message" };
  expect(await run(home, JSON.stringify(stop), async () => ({ reply }))).toBe(`${JSON.stringify(reply)}\n`);
});

const failures: [string, string, () => Promise<unknown>][] = [
  ["nobody answers", JSON.stringify(stop), async () => undefined],
  ["asking fails", JSON.stringify(stop), () => Promise.reject(new Error("broken"))],
  ["the input is no JSON", "{", async () => ({})],
  ["the input is nothing", "null", async () => ({})],
];
test.each(failures)("%s: it prints nothing, fails not, and writes a fatal line", async (name, input, ask) => {
  const folder = mkdtempSync(join(home, "f-"));
  expect(await run(folder, input, ask)).toBe("");
  const [line = "", ...more] = readFileSync(hookLogOf(folder), "utf8").trimEnd().split("\n");
  expect(JSON.parse(line)).toMatchObject({ level: "fatal", msg: expect.stringContaining("FATAL") });
  expect(more).toEqual([]);
  expect(statSync(hookLogOf(folder)).mode & 0o777).toBe(0o600);
  expect(name).not.toBe("");
});

test("a log that cannot be written disturbs nobody; one that is long begins anew", async () => {
  expect(await run(join(home, "none"), "{", async () => undefined)).toBe("");
  const folder = mkdtempSync(join(home, "l-"));
  writeFileSync(hookLogOf(folder), "x".repeat(301));
  await run(folder, "{", async () => undefined);
  expect(readFileSync(hookLogOf(folder), "utf8")).toStartWith('{"level":"fatal"');
});

test("without a runner it does nothing", async () => {
  const ask = () => Promise.reject(new Error("asked"));
  expect(await runHook({ input: "{}", env: {}, ask, now: () => 0, limits })).toBe("");
});

test("over a real control server: the report arrives whole, a bad one is refused, a failing runner is survived", async () => {
  const folder = mkdtempSync(join(home, "c-"));
  const { secret } = loadEndpointFile(folder, "control", seededRandom(1));
  const reports: unknown[] = [];
  const control = startControl({
    port: 0,
    secret,
    clock: realClock,
    sources: {
      status: () => ({}),
      records: async () => [],
      hook(report) {
        if (report.event === "Broken") throw new Error("of the runner");
        reports.push(report);
        return { decision: "block" };
      },
    },
  });
  saveEndpointPort(folder, "control", control.port);
  const ask = (_: string, question: ControlQuestion) =>
    askControl(folder, question, AbortSignal.timeout(5_000));
  const real = (input: object) =>
    runHook({ input: JSON.stringify(input), env: environment(folder), ask, now: () => 0, limits });
  expect(await real(stop)).toBe('{"decision":"block"}\n');
  expect(reports).toMatchObject([{ event: "Stop", env: { CLAUDE_CODE_MESSAGING_SOCKET: "/tmp/s" } }]);
  expect(await real({ hook_event_name: "Broken" })).toBe("");
  expect(readFileSync(hookLogOf(folder), "utf8")).toContain("the runner does not answer");
  const bad = await fetch(`${control.url}/hook`, {
    method: "POST",
    headers: { Authorization: `Bearer ${secret}` },
    body: '{"event":7}',
  });
  expect(bad.status).toBe(400);
  control.close();
});

const lines: [string, Parameters<typeof statusLine>[0], string][] = [
  ["all is well", { agent: "ada", endpoint: { upstream: { reach: "up" } } }, "relay: ada"],
  [
    "the relay is down",
    { agent: "ada", endpoint: { upstream: { reach: "down" } } },
    "relay: ada · relay down",
  ],
  [
    "something waits both ways",
    { agent: "ada", outbox: { depth: 2 }, inbox: { waiting: 1 } },
    "relay: ada · 2 to send · 1 waiting for you",
  ],
  ["nobody answers", undefined, "relay: the runner does not answer"],
];
test.each(lines)("status line: %s", (_, facts, text) => {
  expect(statusLine(facts)).toBe(text);
});
