/**
 * Drills on open streams: a revocation, a rotation in the middle of calls, scopes that shrink, a takeover, an agent that
 * is removed. A real relay, a real runner and official SDK clients; the times are printed.
 */
import { expect, test } from "bun:test";
import { copyFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Credential, loadCredential, saveCredential } from "../../src/runner/credential.ts";
import { feedPath } from "../../src/wire/api.ts";
import { defaultProfile } from "../../src/wire/scope.ts";
import { tokenHash } from "../../src/wire/token.ts";
import type { Era, Witness } from "../fixtures/sdk-client.ts";
import { DrillStage, eras, took } from "./drill-stage.ts";

const writing = ["relay_send_message", "relay_reply"];
const readOnly = defaultProfile.scopes.filter(
  (scope) => scope !== "message:send" && scope !== "message:broadcast",
);

/** What no client of a runner may ever notice: an HTTP error, a stream that ended, an error of its transport. */
const noticed = ({ statuses, errors, streams }: Witness) => ({
  badStatuses: statuses.filter((status) => status === 0 || status >= 400),
  errors,
  streamsEnded: streams.ended,
});
const nothing = { badStatuses: [], errors: [], streamsEnded: 0 };

/** Opens a feed; `ended` turns true when the relay closes it. */
async function openFeed(url: string, token: string) {
  const response = await fetch(`${url}${feedPath}`, { headers: { Authorization: `Bearer ${token}` } });
  expect(response.status).toBe(200);
  const state = { ended: false };
  const drain = async () => {
    for await (const _ of response.body ?? []);
  };
  drain()
    .catch(() => {})
    .finally(() => {
      state.ended = true;
    });
  return state;
}

async function clients(stage: DrillStage, target: { url: string; secret: string | undefined }) {
  return Promise.all(eras.map((era: Era) => stage.client(target, era)));
}

test("P3: [P3.9] scopes that shrink narrow the tools in the agent's open streams, and the relay decides at once", async () => {
  await using stage = await DrillStage.open();
  const { relay } = stage;
  const alice = await stage.runner("mill");
  const bob = await relay.enrol("bob");
  const [legacy, modern] = (await clients(stage, alice.target)) as [Witness, Witness];
  const direct = await stage.client({ url: relay.server.mcpUrl, secret: bob.token }, "modern");
  for (const client of [legacy, modern, direct]) expect(await client.toolNames()).toContain("relay_reply");
  await took("the clients' streams are open", () =>
    [legacy, modern, direct].every(({ streams }) => streams.opened > 0),
  );
  const heard = [legacy, modern, direct].map(({ changes }) => changes.length);
  const shrunk = performance.now();
  await relay.operator.setProfile({ name: "default", scopes: [...readOnly] });
  const refused = await direct.call("relay_send_message", { to: "alice", body: "too late" });
  expect(refused).toMatchObject({ isError: true, text: expect.stringContaining("message:send") });
  const allHeard = () => [legacy, modern, direct].every(({ changes }, i) => changes.length > (heard[i] ?? 0));
  await took("scopes shrank: every open stream has heard of it", allHeard, { since: shrunk });
  for (const client of [legacy, modern, direct]) {
    expect((await client.toolNames()).filter((name) => writing.includes(name))).toEqual([]);
  }
  await expect(legacy.call("relay_send_message", { to: "bob", body: "no" })).rejects.toThrow("Unknown tool");
  expect((await relay.operator.readInbox({ agent: "bob" })).messages).toEqual([]);
  await relay.operator.setProfile({ name: "default", scopes: [...defaultProfile.scopes] });
  await took("scopes grew: the tools are there again", async () =>
    (await Promise.all([legacy, modern].map((client) => client.toolNames()))).every((names) =>
      names.includes("relay_send_message"),
    ),
  );
  expect([legacy, modern, direct].map(noticed)).toEqual([nothing, nothing, nothing]);
}, 30_000);

test("P1: [P1.6] a rotation in the middle of calls cuts none of them, whichever side of the relay they are on", async () => {
  await using stage = await DrillStage.open();
  const { relay } = stage;
  const between = stage.between();
  const alice = await stage.runner("mill", { relayUrl: between.url });
  const witnesses = await clients(stage, alice.target);
  const before = alice.secrets();
  for (const when of ["before", "after"] as const) {
    const first = alice.secrets().agent;
    const hold = between.hold("relay_list_agents", when);
    const calls = witnesses.map((client) => client.call("relay_list_agents"));
    await took(`calls are held ${when} the relay`, () => hold.held === witnesses.length);
    await relay.operator.setProfile({ name: "default", limits: { burst: when === "before" ? 601 : 602 } });
    await took("the agent's token was rotated meanwhile", () => alice.secrets().agent !== first);
    hold.release();
    const told = await Promise.all(calls);
    expect(told.map(({ isError }) => isError)).toEqual([false, false]);
  }
  const ending = (await relay.operator.listTokens({})).tokens.filter(({ kind }) => kind === "agent");
  const minutesLeft = ending.map(({ expiresAt = "" }) =>
    Math.ceil((Date.parse(expiresAt) - Date.now()) / 60_000),
  );
  expect(minutesLeft).toEqual([60, 10, 10]);
  // The runner's own token, as its daily renewal does it: what is open and on its way goes on.
  const feed = await openFeed(relay.server.url, before.runner);
  const successorHash = tokenHash(`${before.runner}!`);
  await relay.operator.renewToken({ secret: before.runner, successorHash });
  await relay.client(before.runner).listAgents({});
  expect((await witnesses[0]?.call("relay_list_agents"))?.isError).toBe(false);
  expect(feed.ended).toBe(false);
  expect(witnesses.map(noticed)).toEqual([nothing, nothing]);
  expect(alice.said).toEqual([]);
}, 30_000);

test("P4: [P4.7] a revocation acts within 5 seconds on feeds, on the relay's own streams and on what is remembered", async () => {
  await using stage = await DrillStage.open();
  const { relay } = stage;
  const alice = await stage.runner("mill");
  const { runner, agent } = alice.secrets();
  const witnesses = await clients(stage, alice.target);
  const feed = await openFeed(relay.server.url, runner);
  const direct = await stage.client({ url: relay.server.mcpUrl, secret: agent }, "modern");
  await relay.client(agent).listAgents({});
  await took("the direct stream is open", () => direct.streams.opened > 0);
  const { tokens } = await relay.operator.listTokens({});
  const id = tokens.find(({ kind, agent: name }) => kind === "runner" && name === "alice")?.id ?? "";
  const since = performance.now();
  await relay.operator.revokeToken({ id });
  await took("revoked: the feed has ended", () => feed.ended, { since });
  await took("revoked: the relay's own stream has ended", () => direct.streams.ended > 0, { since });
  for (const secret of [runner, agent]) {
    await expect(relay.client(secret).listAgents({})).rejects.toMatchObject({ code: "token_revoked" });
  }
  await took("revoked: the person is told", () => alice.said.length > 0, { since });
  expect((await witnesses[0]?.call("relay_list_agents"))?.isError).toBe(true);
  // The agent keeps its endpoint, its streams and its tools: only the relay says no.
  expect(witnesses.map(noticed)).toEqual([nothing, nothing]);
}, 30_000);

test("P2: [P4.9] a displaced runner delivers what it has, marked late, and neither reads nor calls any more", async () => {
  await using stage = await DrillStage.open();
  const { relay } = stage;
  const between = stage.between();
  const first = await stage.runner("mill", { relayUrl: between.url });
  const client = await stage.client(first.target, "legacy");
  await relay.enrol("bob");
  await client.toolNames();
  await between.cut();
  const call = client.call("relay_send_message", { to: "bob", body: "written before the takeover" });
  await took("the write waits", async () => (await first.waiting()) === 1);
  const second = await stage.runner("barn", { takeover: true });
  expect(second.runner.agentId).toBe(first.runner.agentId);
  between.restore();
  const inbox = async () => (await relay.operator.readInbox({ agent: "bob" })).messages;
  await took("the displaced store has drained", async () => (await inbox()).length === 1, { forMs: 10_000 });
  expect(await inbox()).toMatchObject([{ body: "written before the takeover", late: true }]);
  await call;
  expect((await client.call("relay_list_agents", {})).isError).toBe(true);
  await took("the person is told", () => first.said.length > 0, { forMs: 10_000 });
  const late = await client.call("relay_send_message", { to: "bob", body: "written after the takeover" });
  expect(late).toMatchObject({ isError: true, text: expect.stringContaining("displaced: another runner") });
  expect([await first.waiting(), (await inbox()).length]).toEqual([0, 1]);
  await expect(relay.client(first.secrets().runner).readInbox({ agent: "alice" })).rejects.toMatchObject({
    status: 403,
  });
  const live = await stage.client(second.target, "modern");
  expect((await live.call("relay_send_message", { to: "bob", body: "live" })).isError).toBe(false);
  expect((await inbox()).map(({ late }) => late === true)).toEqual([true, false]);
  const { entries } = await relay.operator.listAudit({ kind: "lease_taken_over" });
  expect(entries).toMatchObject([{ subject: "alice", facts: { from: "mill", to: "barn", live: true } }]);
}, 30_000);

test("P2: [P2.10] what a removed agent had queued comes back as a notice", async () => {
  await using stage = await DrillStage.open();
  const { relay } = stage;
  const between = stage.between();
  const alice = await stage.runner("mill", { relayUrl: between.url });
  const client = await stage.client(alice.target, "legacy");
  await relay.enrol("bob");
  await client.toolNames();
  await between.cut();
  const calls = ["tried", "never tried"].map((body) =>
    client.call("relay_send_message", { to: "bob", body }),
  );
  await took("the writes wait", async () => (await alice.waiting()) === 2);
  await relay.operator.removeAgent({ agent: "alice" });
  between.restore();
  await took("the writes have come back", async () => (await alice.waiting()) === 0, { forMs: 10_000 });
  await Promise.all(calls);
  const { text } = await client.call("relay_check_messages");
  expect(text.match(/^- rejected: relay_send_message to bob/gm)).toHaveLength(2);
  expect(text).toContain("the agent of this token was removed");
  expect((await relay.operator.readInbox({ agent: "bob" })).messages).toEqual([]);
  expect((await relay.operator.listAgents({})).agents.map(({ name }) => name)).toEqual(["bob", "operator"]);
}, 30_000);

test("P1: a runner renews its own token, and a relay that was restored from before that is led to it again", async () => {
  await using stage = await DrillStage.open();
  const between = stage.between();
  const { relayId } = stage.relay.server;
  const first = await stage.runner("mill", { relayUrl: between.url });
  const before = first.secrets().runner;
  await first.close();
  const copy = join(stage.folder, "copy");
  await stage.restart((database) => copyFileSync(database, copy));
  between.to(stage.relay.server.url);
  const held = loadCredential(first.home, relayId, "alice");
  saveCredential(first.home, { ...(held as Credential), renewedAt: 0 });
  const alice = await stage.runner("mill", { relayUrl: between.url });
  await took("the runner's token is renewed", () => alice.secrets().runner !== before);
  const client = await stage.client(alice.target, "legacy");
  expect((await client.call("relay_list_agents")).isError).toBe(false);
  const now = alice.secrets().runner;
  await stage.restart((database) => {
    for (const suffix of ["", "-wal", "-shm"]) rmSync(`${database}${suffix}`, { force: true });
    copyFileSync(copy, database);
  });
  const refused = await stage.relay
    .client(now)
    .listAgents({})
    .catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: "unauthorized" });
  between.to(stage.relay.server.url);
  const isKnown = () =>
    stage.relay
      .client(now)
      .listAgents({})
      .then(
        () => true,
        () => false,
      );
  await took("the restored relay knows the secret of now", isKnown, { forMs: 10_000 });
  await took("live calls work again", async () => !(await client.call("relay_list_agents")).isError);
  expect([alice.said, noticed(client)]).toEqual([[], nothing]);
}, 40_000);
