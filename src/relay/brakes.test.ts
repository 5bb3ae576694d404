/** Brakes, quarantine, presence and insights through a real relay. */
import { expect, test } from "bun:test";
import { runningRelay } from "../../test/fixtures/running-relay.ts";
import { connectWitness } from "../../test/fixtures/sdk-client.ts";
import { limits } from "../limits.ts";
import { asId, messageIdOf, mintedKey, uuidV7 } from "../wire/id.ts";
import type { LaneRecord } from "../wire/lane.ts";
import { defaultProfile } from "../wire/scope.ts";

const storeId = "0190a000-0000-7000-8000-00000000000a";

function record(body: string): LaneRecord {
  const now = Date.now();
  const key = mintedKey("relay_send_message", uuidV7(now, crypto.getRandomValues(new Uint8Array(10))));
  return {
    key,
    messageId: messageIdOf(asId(""), key, true),
    tool: "relay_send_message",
    arguments: { to: "operator", body },
    enqueuedAt: new Date(now).toISOString(),
  };
}

/** A relay where profile `default` allows three writes at once and one more each second. */
async function slowRelay() {
  const relay = await runningRelay();
  const { scopes, features } = defaultProfile;
  const slow = { ...defaultProfile.limits, burst: 3, perMinute: 60 };
  await relay.operator.setProfile({ name: "default", scopes: [...scopes], features, limits: slow });
  return relay;
}

test("[P2.21] an outbox that comes back from an outage gets its writes through as its rate allows, in order", async () => {
  await using relay = await slowRelay();
  const alice = await relay.enrol("alice");
  const { laneSession } = await alice.runner.openLane({ storeId });
  const records = ["1", "2", "3", "4", "5"].map(record);
  const deliver = async () => {
    const { outcomes } = await alice.runner.deliverRecords({ storeId, laneSession, records });
    return outcomes.map(({ status }) => status);
  };
  expect(await deliver()).toEqual(["committed", "committed", "committed", "deferred", "deferred"]);
  relay.clock.skip(1_000);
  expect(await deliver()).toEqual([...Array(4).fill("committed"), "deferred"]);
  relay.clock.skip(1_000);
  expect(await deliver()).toEqual(Array(5).fill("committed"));
  const { messages } = await relay.operator.readInbox({ agent: "operator" });
  expect(messages.map(({ body }) => body)).toEqual(["1", "2", "3", "4", "5"]);
});

test("a live call over the rate is told so and has no effect; the same call later has", async () => {
  await using relay = await slowRelay();
  const alice = await relay.enrol("alice");
  const agent = relay.client(alice.token);
  for (const body of ["1", "2", "3"]) await agent.sendMessage({ to: "operator", body });
  const more = { to: "operator", body: "4", idempotencyKey: "k4" };
  await expect(agent.sendMessage(more)).rejects.toMatchObject({ code: "rate_limited", status: 429 });
  await using witness = await connectWitness({ url: relay.server.mcpUrl, secret: alice.token }, "modern");
  const { client } = witness;
  const refused = await client.callTool({
    name: "relay_send_message",
    arguments: { to: "operator", body: "5" },
  });
  expect(refused).toMatchObject({ isError: true, structuredContent: { delivery: "refused" } });
  relay.clock.skip(1_000);
  expect(await agent.sendMessage(more)).toMatchObject({ delivery: "sent" });
});

test("[P2.22] the operator stops the writes of an agent and lets it write again; both are in the audit log", async () => {
  await using relay = await runningRelay();
  const alice = await relay.enrol("alice");
  const agent = relay.client(alice.token);
  const stopped = { agent: "alice", changed: true };
  expect(await relay.operator.quarantineAgent({ agent: "alice", reason: "runs wild" })).toEqual(stopped);
  expect(await relay.operator.quarantineAgent({ agent: "alice", reason: "again" })).toMatchObject({
    changed: false,
  });
  await expect(agent.sendMessage({ to: "operator", body: "x" })).rejects.toMatchObject({
    code: "quarantined",
    message: "The writes of this agent were stopped by the operator: runs wild",
  });
  expect((await agent.readInbox({ agent: "alice" })).messages).toEqual([]);
  const { agents } = await relay.operator.listAgents({});
  expect(agents.find(({ name }) => name === "alice")).toMatchObject({ quarantined: { reason: "runs wild" } });
  expect(await relay.operator.releaseAgent({ agent: "alice" })).toEqual(stopped);
  expect(await agent.sendMessage({ to: "operator", body: "x" })).toMatchObject({ delivery: "sent" });
  const kinds = (await relay.operator.listAudit({})).entries.map(({ kind, facts }) => [kind, facts]);
  expect(kinds).toContainEqual(["agent_quarantined", { reason: "runs wild" }]);
  expect(kinds).toContainEqual(["agent_released", {}]);
  await expect(relay.operator.quarantineAgent({ agent: "operator", reason: "" })).rejects.toMatchObject({
    code: "forbidden",
  });
  await expect(relay.operator.releaseAgent({ agent: "nobody" })).rejects.toMatchObject({ code: "not_found" });
  await expect(agent.quarantineAgent({ agent: "alice", reason: "" })).rejects.toMatchObject({
    code: "forbidden",
  });
});

test("what brakes hold back is in the audit log once, however often it is tried", async () => {
  await using relay = await slowRelay();
  const [alice, bob] = [await relay.enrol("alice"), await relay.enrol("bob")];
  await relay.operator.quarantineAgent({ agent: "bob", reason: "" });
  for (const { runner } of [alice, bob]) {
    const lane = { storeId: crypto.randomUUID() };
    const { laneSession } = await runner.openLane(lane);
    await runner.deliverRecords({ ...lane, laneSession, records: ["1", "2", "3", "4"].map(record) });
    await runner.deliverRecords({ ...lane, laneSession, records: ["5", "6"].map(record) });
  }
  const entries = async (kind: "rate_limited" | "write_refused") =>
    (await relay.operator.listAudit({ kind })).entries.map(({ actorName, subject }) => [actorName, subject]);
  expect(await entries("rate_limited")).toEqual([["alice", "writes"]]);
  expect(await entries("write_refused")).toEqual([["bob", "quarantined"]]);
});

test("what a runner says its agent does is shown to agents and people until it is too old", async () => {
  await using relay = await runningRelay();
  const alice = await relay.enrol("alice");
  const bob = await relay.enrol("bob");
  const shown = async () =>
    (await relay.operator.listAgents({})).agents.find(({ name }) => name === "alice")?.presence;
  expect(await shown()).toMatchObject({ state: "offline" });
  expect(await alice.runner.reportPresence({ state: "waiting_approval" })).toEqual({ changed: true });
  expect(await alice.runner.reportPresence({ state: "waiting_approval" })).toEqual({ changed: false });
  expect(await shown()).toMatchObject({ state: "waiting_approval" });
  await using witness = await connectWitness({ url: relay.server.mcpUrl, secret: bob.token }, "modern");
  const { client } = witness;
  const listed = await client.callTool({ name: "relay_list_agents", arguments: {} });
  const { agents } = listed.structuredContent as { agents: { name: string; status: { state: string } }[] };
  expect(agents.find(({ name }) => name === "alice")?.status.state).toBe("waiting_approval");
  relay.clock.skip(limits.presenceStaleMs);
  expect(await shown()).toMatchObject({ state: "offline" });
});

test("an insight is kept once; a kind that is switched off is refused for good", async () => {
  await using relay = await runningRelay();
  const alice = await relay.enrol("alice");
  const at = new Date(relay.clock.now()).toISOString();
  const insight = { kind: "hook_crashed" as const, at, facts: { hook: "Stop", code: 2 } };
  const id = "0190a000-0000-7000-8000-000000000001";
  expect(await alice.runner.reportInsight({ ...insight, id })).toEqual({ known: false });
  expect(await alice.runner.reportInsight({ ...insight, id })).toEqual({ known: true });
  const { insights, more } = await relay.operator.listInsights({ agent: "alice", kind: "hook_crashed" });
  expect([insights, more]).toMatchObject([[{ ...insight, id, agent: "alice" }], false]);
  expect(await relay.operator.setInsightKind({ kind: "hook_crashed", enabled: false })).toMatchObject({
    enabled: false,
  });
  const second = { ...insight, id: "0190a000-0000-7000-8000-000000000002" };
  await expect(alice.runner.reportInsight(second)).rejects.toMatchObject({
    code: "feature_disabled",
    status: 409,
    retry: "never",
    data: { feature: "hook_crashed" },
  });
  const { kinds } = await alice.runner.listInsightKinds({});
  expect(kinds.filter(({ enabled }) => !enabled).map(({ kind }) => kind)).toEqual(["hook_crashed"]);
  const [entry] = (await relay.operator.listAudit({ kind: "setting_changed" })).entries;
  expect(entry).toMatchObject({ subject: "insight:hook_crashed", facts: { enabled: false } });
});

test("facts of an insight are bounded in size and depth", async () => {
  await using relay = await runningRelay();
  const alice = await relay.enrol("alice");
  const report = (facts: Record<string, unknown>) =>
    alice.runner.reportInsight({
      id: crypto.randomUUID(),
      kind: "session_analysis",
      at: new Date(relay.clock.now()).toISOString(),
      facts,
    });
  let deep: Record<string, unknown> = {};
  for (let i = 0; i < limits.insightDepthMax; i++) deep = { deep };
  await expect(report(deep)).rejects.toMatchObject({ code: "bad_request" });
  await expect(report({ text: "x".repeat(limits.insightBytesMax) })).rejects.toMatchObject({
    code: "bad_request",
  });
  expect(await report({ text: "x".repeat(limits.insightBytesMax - 11) })).toEqual({ known: false });
});

test("a live call over the rate is one line of the audit log, over HTTP as by MCP", async () => {
  await using relay = await slowRelay();
  const alice = await relay.enrol("alice");
  const agent = relay.client(alice.token);
  for (const body of ["1", "2", "3"]) await agent.sendMessage({ to: "operator", body });
  await expect(agent.sendMessage({ to: "operator", body: "4" })).rejects.toMatchObject({
    code: "rate_limited",
  });
  await using witness = await connectWitness({ url: relay.server.mcpUrl, secret: alice.token }, "modern");
  const refused = await witness.client.callTool({
    name: "relay_send_message",
    arguments: { to: "operator", body: "5" },
  });
  expect(refused).toMatchObject({ isError: true });
  const { entries } = await relay.operator.listAudit({ kind: "rate_limited" });
  expect(entries.map(({ actorName, subject }) => [actorName, subject])).toEqual([["alice", "writes"]]);
});
