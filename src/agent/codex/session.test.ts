/** A session of Codex against an app-server that is played: what is given, when, and that nothing is given twice. */
import { describe, expect, test } from "bun:test";
import { limits } from "../../limits.ts";
import { type Call, played, settled } from "./played-server.ts";

const one = { id: "m1", text: "hello" };
const two = { id: "m2", text: "again" };

describe("headless", () => {
  test("connects with the token, whose hash alone is in the command, and begins a conversation", async () => {
    const at = played();
    const plan = await at.start();
    const token = at.sockets[0]?.token ?? "";
    expect(Buffer.from(token, "base64url").length).toBe(32);
    expect(JSON.stringify(plan)).not.toContain(token);
    const told = at.events.map(({ type }) => type).filter((type) => type !== "alive");
    expect(told).toEqual(["started", "conversation", "ready"]);
    expect(at.session.status.state).toBe("idle");
    expect(at.calls.map(({ method }) => method)).toEqual([
      ...["initialize", "initialized", "skills/extraRoots/set", "thread/start"],
    ]);
    expect(at.calls[2]?.params).toEqual({ extraRoots: ["/plugins/codex/skills"] });
  });

  test("it is ready once our tools are there, and at the latest after the bound", async () => {
    const at = played();
    await at.start({ tools: false });
    expect(at.session.status.state).toBe("starting");
    at.tell("mcpServer/startupStatus/updated", { name: "agent-relay", status: "starting" });
    await settled();
    expect(at.session.status.state).toBe("starting");
    at.clock.advance(limits.agentToolsMs);
    await settled();
    expect(at.session.status.state).toBe("idle");
  });

  test("before there is a conversation a text is refused, and not for good", async () => {
    const at = played();
    expect(await at.session.inject(one, { urgent: false })).toEqual({
      status: "refused",
      reason: "Codex has no conversation yet",
      final: false,
    });
  });

  test("P8: idle: a text begins a turn, and counts once it stands in the conversation", async () => {
    const at = played();
    await at.start();
    const outcome = at.session.inject(one, { urgent: false });
    await settled();
    expect(at.calls.at(-1)).toMatchObject({
      method: "turn/start",
      params: { threadId: "t", clientUserMessageId: "m1", input: [{ type: "text", text: "hello" }] },
    });
    at.began();
    at.taken("m1");
    expect(await outcome).toEqual({ status: "injected" });
  });

  test("P8: busy and urgent: it joins the running turn", async () => {
    const at = played();
    await at.start();
    at.began();
    const outcome = at.session.inject(one, { urgent: true });
    await settled();
    expect(at.given()).toEqual(["turn/steer"]);
    at.taken("m1");
    expect(await outcome).toEqual({ status: "injected" });
  });

  test("the turn ended just now: the text begins one", async () => {
    const at = played({ script: { "turn/steer": "no active turn to steer" } });
    await at.start();
    at.began();
    const outcome = at.session.inject(one, { urgent: true });
    await settled();
    expect(at.given()).toEqual(["turn/steer", "turn/start"]);
    at.taken("m1");
    expect(await outcome).toEqual({ status: "injected" });
  });

  test("busy and not urgent: after the turn", async () => {
    const at = played();
    await at.start();
    at.began();
    const outcome = at.session.inject(one, { urgent: false });
    await settled();
    expect(at.given()).toEqual([]);
    at.ended();
    await settled();
    expect(at.given()).toEqual(["turn/start"]);
    at.taken("m1");
    expect(await outcome).toEqual({ status: "injected" });
  });

  test("not taken up in time: unknown; the same id is not given again, and taken is still told", async () => {
    const at = played();
    await at.start();
    at.began();
    const outcome = at.session.inject(one, { urgent: true });
    await settled();
    at.clock.advance(limits.injectMs);
    expect(await outcome).toMatchObject({ status: "unknown" });
    const again = at.session.inject(one, { urgent: true });
    await settled();
    expect(at.given()).toEqual(["turn/steer"]);
    at.taken("m1");
    expect(await again).toEqual({ status: "injected" });
    expect(await at.session.inject(one, { urgent: true })).toEqual({ status: "injected" });
    expect(at.given()).toEqual(["turn/steer"]);
    expect(at.events).toContainEqual({ type: "taken", injection: "m1" });
  });

  test("an interrupted turn forgets what it had accepted: told, and given again", async () => {
    const at = played();
    await at.start();
    at.began();
    const outcome = at.session.inject(one, { urgent: true });
    await settled();
    expect(await at.session.interrupt()).toBe(true);
    at.ended("interrupted");
    expect(at.events.at(-1)).toEqual({ type: "dropped", injection: "m1" });
    expect(await outcome).toMatchObject({ status: "unknown" });
    void at.session.inject(one, { urgent: true });
    await settled();
    expect(at.given()).toEqual(["turn/steer", "turn/start"]);
  });

  test("a text that began a turn of its own is not forgotten with the one before", async () => {
    const at = played({
      script: { "turn/steer": "no active turn to steer", "turn/start": { turn: { id: "v" } } },
    });
    await at.start();
    at.began();
    void at.session.inject(one, { urgent: true });
    await settled();
    at.ended("completed", "u");
    expect(at.events.at(-1)).toMatchObject({ type: "turn-ended" });
    void at.session.inject(one, { urgent: true });
    await settled();
    expect(at.given()).toEqual(["turn/steer", "turn/start"]);
  });

  test("refused by Codex: not for good, and given anew when asked", async () => {
    const at = played({ script: { "turn/start": "thread not found" } });
    await at.start();
    const refused = { status: "refused" as const, reason: "thread not found", final: false };
    expect(await at.session.inject(one, { urgent: false })).toEqual(refused);
    expect(await at.session.inject(one, { urgent: false })).toEqual(refused);
    expect(at.given()).toEqual(["turn/start", "turn/start"]);
  });

  test("P2: a conversation that goes on after a crash: what it holds is not given again", async () => {
    const userMessage = { type: "userMessage", clientId: "m1" };
    const script = {
      "thread/items/list": { data: [{ turnId: "u", item: userMessage }] },
      "thread/turns/list": { data: [{ id: "u", status: "completed" }] },
    };
    const at = played({ script, saved: { id: "t" } });
    await at.start();
    expect(at.calls.map(({ method }) => method)).not.toContain("thread/start");
    expect(await at.session.inject(one, { urgent: false })).toEqual({ status: "injected" });
    expect(at.given()).toEqual([]);
    expect(await at.session.lookFor(["m1", "m2"])).toEqual(new Map([["m1", "done"]]));
  });

  test("a conversation that is gone: a new one is begun, and said", async () => {
    const at = played({ script: { "thread/resume": "no rollout found" }, saved: { id: "old" } });
    await at.start();
    expect(at.events).toContainEqual({
      type: "trouble",
      what: "the conversation old does not go on: no rollout found",
    });
    expect(at.session.status.state).toBe("idle");
    expect(at.calls.at(-1)?.method).toBe("thread/start");
  });

  test("a lost connection is opened again, and the conversation goes on", async () => {
    const at = played();
    await at.start();
    at.sockets[0]?.events.onClose("it broke");
    expect(await at.session.inject(two, { urgent: false })).toMatchObject({
      status: "refused",
      final: false,
    });
    at.clock.advance(limits.codexReconnectMs);
    await settled();
    at.tell("mcpServer/startupStatus/updated", { name: "agent-relay", status: "ready" });
    await settled();
    expect(at.sockets.length).toBe(2);
    expect(at.calls.filter(({ method }) => method === "thread/resume")).toHaveLength(1);
    expect(at.session.status.state).toBe("idle");
  });

  test("nobody is there to allow anything: it is declined, so that the turn goes on", async () => {
    const at = played();
    await at.start();
    const ask = { method: "item/commandExecution/requestApproval", id: 9, params: {} };
    at.sockets[0]?.events.onText(JSON.stringify(ask));
    expect(at.calls.at(-1)).toEqual({ id: 9, result: { decision: "decline" } } as unknown as Call);
  });
});
