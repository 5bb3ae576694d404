/** A session of Codex beside a person's terminal, against an app-server that is played. */
import { describe, expect, test } from "bun:test";
import { limits } from "../../limits.ts";
import { played, type Script, settled, usual } from "./played-server.ts";

const one = { id: "m1", text: "hello" };

describe("at a terminal", () => {
  const thread = (id: string) => ({ thread: { id, ephemeral: false, parentThreadId: null } });

  test("the app-server runs beside it, and the person's conversation is joined", async () => {
    const at = played({ mode: "terminal" });
    const plan = await at.start();
    expect(plan).toMatchObject({
      status: "ready",
      command: [
        "/opt/codex",
        "--remote",
        "ws://127.0.0.1:4321",
        "--remote-auth-token-env",
        expect.any(String),
      ],
    });
    expect(at.session.status.state).toBe("starting");
    at.tell("thread/started", thread("t"));
    await settled();
    expect(at.calls.map(({ method }) => method)).not.toContain("thread/start");
    expect(at.session.status.state).toBe("idle");
  });

  const active = { status: { type: "active", activeFlags: [] } };
  const item = { type: "userMessage", clientId: "m1" };

  test("a turn that ran before it could be joined is known, with what stands in it", async () => {
    const script: Script = {
      "thread/resume": "no rollout found",
      "thread/turns/list": { data: [{ id: "u", status: "inProgress", items: [item] }] },
    };
    const at = played({ mode: "terminal", script });
    await at.start();
    at.tell("thread/started", thread("t"));
    const outcome = at.session.inject(one, { urgent: false });
    await settled();
    expect(at.given()).toEqual(["turn/start"]);
    at.tell("thread/status/changed", active);
    await settled();
    expect(at.session.status.state).toBe("idle");
    at.script["thread/resume"] = usual["thread/resume"];
    at.clock.advance(limits.codexJoinMs);
    await settled();
    expect(at.session.status.state).toBe("busy");
    expect(await outcome).toEqual({ status: "injected" });
    at.ended();
    expect(at.events.at(-1)).toMatchObject({ type: "turn-ended", turn: { injections: ["m1"] } });
  });

  test("a turn that was over before it could be joined is told as a whole, once", async () => {
    const script = { "thread/turns/list": { data: [{ id: "u", status: "completed", items: [item] }] } };
    const at = played({ mode: "terminal", script });
    await at.start();
    at.tell("thread/started", thread("t"));
    void at.session.inject(one, { urgent: false });
    await settled();
    at.tell("thread/status/changed", active);
    await settled();
    at.tell("thread/status/changed", active);
    await settled();
    expect(at.session.status.figures.turns).toBe(1);
    expect(at.session.status.lastTurn).toMatchObject({ how: "completed", injections: ["m1"] });
    expect(at.calls.filter(({ method }) => method === "thread/resume")).toHaveLength(1);
  });

  test("another conversation of the person is the one that is spoken in from then on", async () => {
    const at = played({ mode: "terminal" });
    await at.start();
    at.tell("thread/started", thread("t"));
    at.tell("thread/started", thread("second"));
    void at.session.inject(one, { urgent: false });
    await settled();
    expect(at.calls.at(-1)).toMatchObject({ method: "turn/start", params: { threadId: "second" } });
  });

  test("what Codex asks is left to the person", async () => {
    const at = played({ mode: "terminal" });
    await at.start();
    const before = at.calls.length;
    at.sockets[0]?.events.onText(
      JSON.stringify({ method: "item/fileChange/requestApproval", id: 9, params: {} }),
    );
    expect(at.calls.length).toBe(before);
  });

  test("a conversation that goes on is loaded before the terminal starts", async () => {
    const at = played({ mode: "terminal", saved: { id: "t" } });
    const plan = await at.start();
    expect(plan).toMatchObject({
      command: [
        "/opt/codex",
        "resume",
        "t",
        "--remote",
        expect.any(String),
        "--remote-auth-token-env",
        expect.any(String),
      ],
    });
    expect(at.session.status.state).toBe("idle");
  });

  test("closing ends the app-server", async () => {
    const at = played({ mode: "terminal" });
    await at.start();
    await at.session.close();
    expect(at.servers.map(({ stopped }) => stopped)).toEqual([true]);
  });
});
