/** A headless session against lines as Claude Code 2.1.330 writes them. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { limits } from "../../limits.ts";
import { launch, openSession } from "../claude.ts";
import type { InjectOutcome } from "../session.ts";
import { openHeadlessSession } from "./headless.ts";
import { playOptions, settle } from "./played.ts";

let home = "";
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "agent-relay-headless-"));
});
afterAll(() => rmSync(home, { recursive: true }));

type Line = Record<string, unknown>;

function start(changes: Parameters<typeof playOptions>[1] = { home }) {
  const played = playOptions("headless", changes);
  const session = openHeadlessSession(played.options, launch);
  const written: Line[] = [];
  let open = true;
  const say = (line: Line) => session.output(JSON.stringify(line), "stdout");
  const run = () =>
    session.started({
      pid: 1,
      write(text) {
        if (open) written.push(JSON.parse(text));
        return open;
      },
      closeInput() {
        open = false;
      },
    });
  const ready = () => {
    run();
    say({ type: "control_response", response: { subtype: "success", request_id: "agent-relay-ready" } });
  };
  const lifecycle = (id: string, state: string) =>
    say({ type: "command_lifecycle", command_uuid: id, state });
  const close = () => {
    open = false;
  };
  return { ...played, session, written, say, run, ready, lifecycle, close };
}

/** What a promise came to, without waiting for it. */
function watched(promise: Promise<InjectOutcome>): { outcome: InjectOutcome | undefined } {
  const seen: { outcome: InjectOutcome | undefined } = { outcome: undefined };
  void promise.then((outcome) => {
    seen.outcome = outcome;
  });
  return seen;
}

test("it is ready when the program answers, not before", async () => {
  const { session, run, say, written } = start();
  run();
  expect(written).toEqual([
    { type: "control_request", request_id: "agent-relay-ready", request: { subtype: "initialize" } },
  ]);
  expect(session.status.state).toBe("starting");
  expect(await session.inject({ id: "i1", text: "hi" }, { urgent: false })).toMatchObject({
    status: "refused",
    final: false,
  });
  say({ type: "control_response", response: { subtype: "success", request_id: "agent-relay-ready" } });
  expect(session.status.state).toBe("idle");
});

test("a question that was lost is asked again, and only the first answer counts", () => {
  const { clock, run, say, session, written, only } = start();
  run();
  clock.advance(2 * limits.claudeReadyRetryMs);
  expect(written.map(({ request_id }) => request_id)).toEqual(Array(3).fill("agent-relay-ready"));
  const answer = { type: "control_response", response: { request_id: "agent-relay-ready" } };
  say(answer);
  say({ type: "system", subtype: "init", session_id: "s" });
  say(answer);
  clock.advance(2 * limits.claudeReadyMs);
  expect([session.status.state, written.length, only("ready", "trouble").length]).toEqual(["busy", 3, 1]);
});

test("a program that never answers is trouble, told once; one that has ended is not asked", () => {
  const { clock, run, session, written, only } = start();
  run();
  clock.advance(3 * limits.claudeReadyMs);
  expect(written.length).toBe(limits.claudeReadyMs / limits.claudeReadyRetryMs);
  expect(only("trouble")).toEqual([{ type: "trouble", what: "it does not say that it reads its input" }]);
  session.exited();
  run();
  session.exited();
  clock.advance(3 * limits.claudeReadyMs);
  expect([written.length, only("trouble").length]).toEqual([
    limits.claudeReadyMs / limits.claudeReadyRetryMs + 1,
    1,
  ]);
});

test("[P8.1] a text is injected when the model gets it, and is in the turn that ends", async () => {
  const { session, ready, lifecycle, say, written, only } = start();
  ready();
  const given = watched(session.inject({ id: "i1", text: "hello" }, { urgent: false }));
  expect(written.at(-1)).toEqual({
    type: "user",
    message: { role: "user", content: "hello" },
    uuid: "i1",
    priority: "later",
  });
  lifecycle("i1", "queued");
  await settle();
  expect(given.outcome).toBeUndefined();
  lifecycle("i1", "started");
  await settle();
  expect(given.outcome).toEqual({ status: "injected" });
  expect(session.status.state).toBe("busy");
  say({ type: "system", subtype: "init", session_id: "c1" });
  say({ type: "assistant", message: { content: [{ type: "text", text: "hi there" }] } });
  say({
    type: "result",
    subtype: "success",
    is_error: false,
    result: "hi there",
    user_message_uuids: ["i1"],
  });
  expect(session.status.state).toBe("idle");
  expect(only("conversation", "turn-ended").slice(-2)).toEqual([
    { type: "conversation", id: "c1", transcript: undefined },
    {
      type: "turn-ended",
      turn: { text: "hi there", how: "completed", reason: undefined, injections: ["i1"] },
    },
  ]);
});

test("[P8.2] urgent goes in at the next safe point of the running turn", () => {
  const { session, ready, written } = start();
  ready();
  void session.inject({ id: "i1", text: "now" }, { urgent: true });
  expect(written.at(-1)).toMatchObject({ uuid: "i1", priority: "next" });
});

test("a text that nothing is heard of is unknown, and taken when it is heard of after all", async () => {
  const { session, ready, lifecycle, clock, only } = start();
  ready();
  const given = watched(session.inject({ id: "i1", text: "x" }, { urgent: true }));
  clock.advance(limits.injectMs);
  await settle();
  expect(given.outcome?.status).toBe("unknown");
  lifecycle("i1", "started");
  expect(only("taken")).toEqual([{ type: "taken", injection: "i1" }]);
});

test("a text that was taken out of the queue is refused, or dropped when its answer was given", async () => {
  const { session, ready, lifecycle, clock, only } = start();
  ready();
  const first = watched(session.inject({ id: "i1", text: "x" }, { urgent: false }));
  lifecycle("i1", "cancelled");
  await settle();
  expect(first.outcome).toMatchObject({ status: "refused", final: false });
  void session.inject({ id: "i2", text: "x" }, { urgent: false });
  clock.advance(limits.injectMs);
  lifecycle("i2", "started");
  lifecycle("i2", "cancelled");
  expect(only("dropped")).toEqual([{ type: "dropped", injection: "i2" }]);
});

test("a closed input is refused; the end of the program leaves it unknown", async () => {
  const { session, ready, close } = start();
  ready();
  const lost = watched(session.inject({ id: "i1", text: "x" }, { urgent: false }));
  close();
  expect(await session.inject({ id: "i2", text: "x" }, { urgent: false })).toMatchObject({
    status: "refused",
  });
  session.exited();
  await settle();
  expect(lost.outcome?.status).toBe("unknown");
  expect(session.status.state).toBe("starting");
});

describe("how a turn ended", () => {
  const rows: [string, Line, object][] = [
    ["failed", { subtype: "error_during_execution", is_error: true }, { how: "failed" }],
    ["failed, by the model", { subtype: "success", is_error: true, result: "API Error" }, { how: "failed" }],
    [
      "interrupted",
      { subtype: "error_during_execution", is_error: true, terminal_reason: "aborted_tools" },
      { how: "interrupted", reason: "aborted_tools" },
    ],
  ];
  test.each(rows)("%s", (_, line, turn) => {
    const { ready, say, only } = start();
    ready();
    say({ type: "system", subtype: "init", session_id: "c1" });
    say({ type: "result", ...line });
    expect(only("turn-ended")).toMatchObject([{ turn }]);
  });
});

test("tools are told with their names and failures, also of one that is not known", () => {
  const { ready, say, only } = start();
  ready();
  say({ type: "assistant", message: { content: [{ type: "tool_use", id: "t1", name: "Bash" }] } });
  const result = (id: string) => ({ type: "tool_result", tool_use_id: id, is_error: true });
  say({ type: "user", message: { content: [result("t1"), result("t2")] } });
  expect(only("tool-began", "tool-ended")).toEqual([
    { type: "tool-began", name: "Bash" },
    { type: "tool-ended", name: "Bash", failed: true },
    { type: "tool-ended", name: "", failed: true },
  ]);
});

test.each(["not json", "[]", "null", '{"type":7}', '{"type":"user","message":null}', '{"type":"result"}'])(
  "a line of another kind does no harm: %s",
  (text) => {
    const { session, ready } = start();
    ready();
    session.output(text, "stdout");
    expect(session.status.state).toBe("idle");
  },
);

test("interrupting asks the program; closing closes its input", async () => {
  const { session, ready, written } = start();
  ready();
  expect(await session.interrupt()).toBe(true);
  expect(written.at(-1)).toMatchObject({ request: { subtype: "interrupt" } });
  await session.close();
  expect(await session.interrupt()).toBe(false);
});

describe("which conversation", () => {
  test("a new one has an id of ours; one without a transcript is begun anew under another id", async () => {
    const { session, asked } = start();
    await session.prepare();
    await session.prepare();
    const ids = asked.flatMap((conversation) => conversation ?? []);
    expect(ids.map(({ resume }) => resume)).toEqual([false, false]);
    expect(new Set(ids.map(({ id }) => id)).size).toBe(2);
  });

  test("one whose transcript is there goes on, unless the program does not know it", async () => {
    const folder = join(home, ".claude", "projects", "-work");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "c9.jsonl"), "");
    const { session, asked, only } = start({ home, saved: { id: "c9" } });
    await session.prepare();
    expect(asked.at(-1)).toEqual({ id: "c9", resume: true });
    session.output("No conversation found with session ID: c9", "stderr");
    expect(only("forgotten", "trouble").map(({ type }) => type)).toEqual(["forgotten", "trouble"]);
    await session.prepare();
    expect(asked.at(-1)).toMatchObject({ resume: false });
  });

  test("the person's own choice is left to the person", async () => {
    const { session, asked } = start({ home, args: ["--resume", "mine"] });
    await session.prepare();
    expect(asked.at(-1)).toBeUndefined();
  });

  test("what is in it already is found by the ids that stand in its texts", async () => {
    const transcript = join(home, "t.jsonl");
    const lines = [
      { type: "user", uuid: "u", message: { content: "delivery m1" } },
      { type: "assistant", message: { content: [{ type: "text", text: "ok" }], stop_reason: "end_turn" } },
      { type: "user", uuid: "m2", message: { content: "something" } },
    ];
    writeFileSync(transcript, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
    const { session } = start({ home, saved: { id: "c1", transcript } });
    expect(Object.fromEntries(await session.lookFor(["m1", "m2", "m3"]))).toEqual({
      m1: "done",
      m2: "taken",
    });
  });
});

test("the provider opens this session when nobody is at a terminal", () => {
  const { options, only } = playOptions("headless", { home });
  openSession(options).output('{"type":"system","subtype":"init"}', "stdout");
  expect(only("turn-began")).toHaveLength(1);
});

test("the conversation is told as soon as the program runs, so that a crash in its first turn is resumed", async () => {
  const { session, run, only, asked } = start();
  await session.prepare();
  run();
  expect(only("conversation")).toEqual([{ type: "conversation", id: asked.at(-1)?.id ?? "" }]);
});
