/** A session at a terminal against hooks, transcript lines and an inbox socket as Claude Code 2.1.330 has them. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { limits } from "../../limits.ts";
import { launch, openSession } from "../claude.ts";
import { playOptions, settle } from "./played.ts";
import { openTerminalSession } from "./terminal.ts";

let home = "";
let stop = () => {};
let number = 0;
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "agent-relay-terminal-"));
});
afterEach(() => stop());
afterAll(() => rmSync(home, { recursive: true }));

/** A session whose program runs; it gets our tools with its first hook, unless `tools` says otherwise. */
function start({ inbox = true, tools = true } = {}) {
  number += 1;
  const played = playOptions("terminal", { home });
  const session = openTerminalSession(played.options, launch);
  const transcript = join(home, `t${number}.jsonl`);
  writeFileSync(transcript, "");
  const path = join(home, `inbox${number}`);
  let received = "";
  const got = Promise.withResolvers<string>();
  const server = Bun.listen({
    unix: path,
    socket: {
      data(_, bytes) {
        received += bytes.toString();
      },
      close: () => got.resolve(received),
    },
  });
  stop = () => {
    server.stop(true);
    void session.close();
  };
  const env = inbox ? { CLAUDE_CODE_MESSAGING_SOCKET: path, CLAUDE_CODE_MESSAGING_TOKEN: "secret" } : {};
  const hook = (event: string, input: Record<string, unknown> = {}) => {
    const reply = session.hook({
      event,
      input: { session_id: "c1", transcript_path: transcript, hook_event_name: event, ...input },
      env,
    });
    played.clock.advance(tools && event === "SessionStart" ? limits.claudeToolsSettleMs : 0);
    return reply;
  };
  const write = (line: object) => {
    appendFileSync(transcript, `${JSON.stringify(line)}\n`);
    played.clock.advance(limits.transcriptPollMs);
  };
  session.started({ pid: 1, write: () => false, closeInput() {} });
  if (tools) session.toolsListed?.();
  return { ...played, played, session, hook, write, inbox: got.promise, transcript };
}

test("the first hook tells the conversation and that input is taken", () => {
  const { session, hook, only, transcript } = start();
  expect(session.status.state).toBe("starting");
  expect(hook("SessionStart", { source: "startup" })).toBeUndefined();
  expect(session.status.state).toBe("idle");
  expect(only("conversation")).toEqual([{ type: "conversation", id: "c1", transcript }]);
});

describe("a start waits for our tools", () => {
  const begun = async (mcp = true) => {
    const started = start({ tools: false });
    const { options } = started.played;
    const { request } = options;
    options.request = (conversation) => {
      const asked = request(conversation);
      return { ...asked, features: { ...asked.features, mcp } };
    };
    await started.session.prepare();
    started.hook("SessionStart");
    return started;
  };

  test("texts are taken a moment after the first list, also when lists go on", async () => {
    const { session, clock, only } = await begun();
    clock.advance(limits.agentToolsMs / 2);
    session.toolsListed?.();
    clock.advance(limits.claudeToolsSettleMs - 1);
    session.toolsListed?.();
    expect(session.status.state).toBe("starting");
    clock.advance(1);
    expect(session.status.state).toBe("idle");
    clock.advance(10 * limits.agentToolsMs);
    expect(only("ready")).toHaveLength(1);
  });

  test("without a list they are taken after a time", async () => {
    const { session, clock } = await begun();
    clock.advance(limits.agentToolsMs - 1);
    expect(session.status.state).toBe("starting");
    clock.advance(1);
    expect(session.status.state).toBe("idle");
  });

  test("a turn that the person has begun meanwhile goes on", async () => {
    const { session, hook, clock } = await begun();
    hook("UserPromptSubmit", { prompt: "mine" });
    session.toolsListed?.();
    clock.advance(limits.claudeToolsSettleMs);
    expect(session.status.state).toBe("busy");
  });

  test("with MCP off, and at a second beginning such as /clear, there is nothing to wait for", async () => {
    expect((await begun(false)).session.status.state).toBe("idle");
    const { session, hook, clock, only } = await begun();
    session.toolsListed?.();
    clock.advance(limits.claudeToolsSettleMs);
    hook("SessionStart", { source: "clear" });
    expect(session.status.state).toBe("idle");
    expect(only("ready")).toHaveLength(2);
  });

  test("a program that ends while it is waited for takes nothing afterwards", async () => {
    const { session, clock, only } = await begun();
    session.exited();
    clock.advance(10 * limits.agentToolsMs);
    expect(only("ready")).toEqual([]);
  });
});

test("[P8.1] a text goes to the session's inbox with its token, and is injected when the prompt was submitted", async () => {
  const { session, hook, inbox, only } = start();
  hook("SessionStart");
  const given = session.inject({ id: "i1", text: "delivery i1\nhello" }, { urgent: false });
  expect(
    (await inbox)
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line)),
  ).toEqual([
    { type: "auth", token: "secret" },
    { type: "user", message: { role: "user", content: "delivery i1\nhello" } },
  ]);
  hook("UserPromptSubmit", { prompt: "delivery i1\nhello" });
  expect(await given).toEqual({ status: "injected" });
  expect(session.status.state).toBe("busy");
  expect(only("taken")).toEqual([{ type: "taken", injection: "i1" }]);
  hook("Stop", { last_assistant_message: "hi" });
  expect(only("turn-ended")).toEqual([{ type: "turn-ended", turn: { text: "hi", how: "completed" } }]);
});

test("a person's own prompt confirms nothing", async () => {
  const { session, hook, clock, inbox } = start();
  hook("SessionStart");
  const given = session.inject({ id: "i1", text: "delivery i1" }, { urgent: false });
  await inbox;
  hook("UserPromptSubmit", { prompt: "do this" });
  clock.advance(limits.injectMs);
  expect((await given).status).toBe("unknown");
});

test("the transcript confirms a text too", async () => {
  const { session, hook, inbox, write } = start();
  hook("SessionStart");
  const given = session.inject({ id: "i1", text: "delivery i1" }, { urgent: true });
  await inbox;
  write({ type: "attachment", attachment: { type: "queued_command", prompt: "delivery i1" } });
  expect(await given).toEqual({ status: "injected" });
});

test("no inbox that is known, or none that listens: refused, not for good", async () => {
  const { session, hook } = start();
  const refused = { status: "refused", final: false };
  expect(await session.inject({ id: "i1", text: "x" }, { urgent: false })).toMatchObject(refused);
  hook("SessionStart");
  stop();
  const gone = start();
  gone.hook("SessionStart");
  stop();
  expect(await gone.session.inject({ id: "i1", text: "x" }, { urgent: false })).toMatchObject(refused);
});

describe("what it does", () => {
  test("waits for an approval, until the tool that was allowed has ended", () => {
    const { session, hook, write } = start();
    hook("SessionStart");
    hook("UserPromptSubmit", { prompt: "x" });
    hook("PermissionRequest", { tool_name: "Write" });
    expect(session.status).toMatchObject({ state: "waiting_approval", approval: "Write" });
    write({ type: "user", message: { content: [{ type: "tool_result", tool_use_id: "t1" }] } });
    expect(session.status.state).toBe("busy");
  });

  test("a person's Escape ends the turn as interrupted", () => {
    const { session, hook, write, only } = start();
    hook("SessionStart");
    hook("UserPromptSubmit", { prompt: "x" });
    write({ type: "user", message: { content: [{ type: "text", text: "[Request interrupted by user]" }] } });
    expect(session.status.state).toBe("idle");
    expect(only("turn-ended")).toMatchObject([{ turn: { how: "interrupted" } }]);
  });

  test("tools are counted from the transcript, in turns only", () => {
    const { session, hook, write } = start();
    hook("SessionStart");
    const call = { type: "assistant", message: { content: [{ type: "tool_use", id: "t1", name: "Bash" }] } };
    write(call);
    hook("UserPromptSubmit", { prompt: "x" });
    write(call);
    write({
      type: "user",
      message: { content: [{ type: "tool_result", tool_use_id: "t1", is_error: true }] },
    });
    expect(session.status.figures).toMatchObject({ toolCalls: 1, toolsFailed: 1, tools: { Bash: 1 } });
  });

  test("a model that does not answer ends the turn as failed", () => {
    const { hook, only } = start();
    hook("UserPromptSubmit", { prompt: "x" });
    hook("StopFailure", { error: "overloaded" });
    expect(only("turn-ended")).toMatchObject([{ turn: { how: "failed", reason: "overloaded" } }]);
  });

  test("a session that says it waits for its person is idle, whatever was believed", () => {
    const { session, hook } = start();
    hook("UserPromptSubmit", { prompt: "x" });
    hook("Notification", { notification_type: "idle_prompt" });
    expect(session.status.state).toBe("idle");
  });

  test("an unknown hook, or one without its fields, does no harm", () => {
    const { session } = start();
    expect(session.hook({ event: "Invented", input: {}, env: {} })).toBeUndefined();
    expect(session.hook({ event: "Stop", input: { last_assistant_message: 7 }, env: {} })).toBeUndefined();
    expect(session.status.state).toBe("idle");
  });
});

describe("without an inbox socket the end of a turn is the way in", () => {
  test("what waits is the hook's answer, and injected when the transcript shows it", async () => {
    const { played, session, hook, write, only } = start({ inbox: false });
    hook("SessionStart");
    hook("UserPromptSubmit", { prompt: "x" });
    played.waiting = { id: "i1", text: "delivery i1" };
    expect(hook("Stop", { stop_hook_active: false })).toEqual({ decision: "block", reason: "delivery i1" });
    expect(session.status.state).toBe("busy");
    write({ type: "user", message: { content: "Stop hook feedback: delivery i1" } });
    await settle();
    expect(only("taken")).toEqual([{ type: "taken", injection: "i1" }]);
  });

  const feedback = { type: "user", message: { content: "Stop hook feedback: delivery i1" } };

  test("the turn that had it ends once the transcript shows it, which comes after the hook", () => {
    const { played, session, hook, write, only } = start({ inbox: false });
    hook("SessionStart");
    played.waiting = { id: "i1", text: "delivery i1" };
    hook("Stop");
    hook("Stop", { stop_hook_active: true, last_assistant_message: "read" });
    expect(session.status.state).toBe("busy");
    write(feedback);
    expect(session.status).toMatchObject({ state: "idle", lastTurn: { text: "read" } });
    expect(only("taken", "turn-ended").map(({ type }) => type)).toEqual([
      "turn-ended",
      "taken",
      "turn-ended",
    ]);
  });

  test("a transcript that never shows it holds the end up no longer than two looks", () => {
    const { played, session, hook, only, clock } = start({ inbox: false });
    hook("SessionStart");
    played.waiting = { id: "i1", text: "delivery i1" };
    hook("Stop");
    hook("Stop", { stop_hook_active: true });
    clock.advance(2 * limits.transcriptPollMs);
    expect(session.status.state).toBe("idle");
    expect(only("taken", "turn-ended").map(({ type }) => type)).toEqual(["turn-ended", "turn-ended"]);
  });

  test("the next hook does not overtake the end of the turn", () => {
    const { played, session, hook, only } = start({ inbox: false });
    hook("SessionStart");
    played.waiting = { id: "i1", text: "delivery i1" };
    hook("Stop");
    hook("Stop", { stop_hook_active: true });
    hook("UserPromptSubmit", { prompt: "and now" });
    expect(session.status.state).toBe("busy");
    const ends = only("turn-began", "turn-ended").map(({ type }) => type);
    expect(ends.join(" ")).toBe("turn-ended turn-began turn-ended turn-began");
  });

  test("never twice in a row: the provider would stop listening", () => {
    const { played, hook } = start({ inbox: false });
    hook("SessionStart");
    played.waiting = { id: "i1", text: "delivery i1" };
    expect(hook("Stop", { stop_hook_active: true })).toBeUndefined();
    expect(played.waiting).toBeDefined();
  });
});

test("after a restart the same conversation is watched again", () => {
  const { session, hook, write } = start();
  hook("SessionStart");
  session.exited();
  expect(session.status.state).toBe("starting");
  session.started({ pid: 2, write: () => false, closeInput() {} });
  hook("SessionStart", { source: "resume" });
  hook("UserPromptSubmit", { prompt: "x" });
  write({ type: "user", message: { content: [{ type: "text", text: "[Request interrupted by user]" }] } });
  expect(session.status.state).toBe("idle");
});

test("without hooks of ours nothing is known of it, and nothing is given to it", async () => {
  const { options } = playOptions("terminal", { home });
  const session = openTerminalSession(options, launch);
  await session.prepare();
  expect(session.canInject).toBe(false);
});

test("the provider opens this session at a terminal", async () => {
  const { options } = playOptions("terminal", { home });
  expect(await openSession(options).interrupt()).toBe(false);
});
