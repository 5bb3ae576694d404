/**
 * The typed client uses every operation that the relay's own description names, with an answer, against a running
 * relay: an operation that is described and cannot be used, or that nobody uses here, fails the test.
 */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { z } from "zod";
import { realClock } from "../../src/base/clock.ts";
import { realRandom } from "../../src/base/random.ts";
import { type Client, createClient, type Fetch } from "../../src/sdk/client.ts";
import { asId, messageIdOf, mintedKey, uuidV7 } from "../../src/wire/id.ts";
import { tokenHash, tokenText } from "../../src/wire/token.ts";
import { type RunningRelay, runningRelay } from "../fixtures/running-relay.ts";

/** On a busy machine, too. */
setDefaultTimeout(60_000);

const documentSchema = z.object({
  paths: z.record(z.string(), z.record(z.string(), z.object({ operationId: z.string() }))),
});
type Document = z.infer<typeof documentSchema>;
/** A request that was answered by 200. */
type Used = { method: string; path: string };

let relay: RunningRelay;
beforeAll(async () => {
  relay = await runningRelay();
});
afterAll(() => relay[Symbol.asyncDispose]());

/** The operations of the document that no request was for. */
function unused(document: Document, used: readonly Used[]): string[] {
  return Object.entries(document.paths).flatMap(([path, methods]) => {
    const pattern = new RegExp(`^${path.replaceAll(/\{\w+\}/g, "[^/]+")}$`);
    return Object.entries(methods)
      .filter(([method]) => !used.some((one) => one.method === method && pattern.test(one.path)))
      .map(([, { operationId }]) => operationId);
  });
}

async function readDocument(): Promise<Document> {
  const response = await fetch(`${relay.server.url}/api/openapi.json`);
  return documentSchema.parse(await response.json());
}

const newId = () => uuidV7(realClock.now(), realRandom.bytes(10));
const secret = (kind: "runner" | "agent" | "host") => {
  const token = tokenText(kind, realRandom.bytes(32));
  return { token, secretHash: tokenHash(token) };
};

/** What a story works with: clients that note what they used. */
type World = { used: Used[]; as: (token: string | undefined) => Client };

function world(): World {
  const used: Used[] = [];
  const noting: Fetch = async (url, init) => {
    const response = await fetch(url, init);
    const method = (init.method ?? "GET").toLowerCase();
    if (response.status === 200) used.push({ method, path: new URL(url).pathname });
    return response;
  };
  return {
    used,
    as: (token) => createClient({ url: relay.server.url, token: () => token, fetch: noting }),
  };
}

type Story = World & { operator: Client; runner: Client; agent: Client };

/** Tokens, profiles, runners and agents come and go. */
async function identities(around: World & { operator: Client }): Promise<Story> {
  const { as, operator } = around;
  await operator.setProfile({ name: "writers", limits: { burst: 900 } });
  expect((await operator.getProfile({ name: "writers" })).limits.burst).toBe(900);
  await operator.setProfile({ name: "idle" });
  await operator.removeProfile({ name: "idle" });
  expect((await operator.listProfiles({})).profiles.map(({ name }) => name)).toContain("writers");

  const host = secret("host");
  const made = await operator.createToken({ kind: "host", secretHash: host.secretHash, note: "mill" });
  const first = secret("runner");
  const facts = { provider: "exec", machine: "mill" };
  await as(host.token).enrolRunner({ agentName: "ada", ...facts, secretHash: first.secretHash });
  await operator.assignProfile({ agent: "ada", profile: "writers" });
  const next = secret("runner");
  await as(undefined).renewToken({ secret: first.token, successorHash: next.secretHash });
  const runner = as(next.token);
  const runtime = secret("agent");
  await runner.mintAgentToken({ secretHash: runtime.secretHash });
  await operator.enrolRunner({ agentName: "gone", ...facts, secretHash: secret("runner").secretHash });
  await operator.removeAgent({ agent: "gone" });
  expect((await operator.listAgents({})).agents.map(({ name }) => name)).not.toContain("gone");
  const spare = await operator.createToken({
    ...{ kind: "host", note: "spare", secretHash: secret("host").secretHash },
  });
  await operator.revokeToken({ id: spare.id });
  expect((await operator.listTokens({})).tokens.map(({ id }) => id)).toContain(made.id);
  return { ...around, runner, agent: as(runtime.token) };
}

/** Messages there and back, by every way. */
async function messages({ operator, runner, agent }: Story): Promise<void> {
  const storeId = newId();
  const { laneSession } = await runner.openLane({ storeId });
  const key = mintedKey("relay_send_message", newId());
  const record = {
    ...{ key, messageId: messageIdOf(asId(""), key, true), tool: "relay_send_message" },
    ...{ arguments: { to: "operator", body: "from the outbox" }, enqueuedAt: new Date().toISOString() },
  };
  const delivered = await runner.deliverRecords({ storeId, laneSession, records: [record] });
  expect(delivered.outcomes.map(({ status }) => status)).toEqual(["committed"]);
  const { outcomes } = await runner.findOutcomes({ keys: [key] });
  expect(outcomes.map((outcome) => outcome?.status)).toEqual(["committed"]);

  await agent.joinChannel({ channel: "#mill" });
  expect((await operator.listChannels({})).channels.map(({ name }) => name)).toEqual(["#mill"]);
  const { members } = await operator.listChannelMembers({ channel: "#mill" });
  expect(members.map(({ name }) => name)).toEqual(["ada"]);
  await operator.sendMessage({ to: "#mill", body: "to the channel" });
  await agent.leaveChannel({ channel: "#mill" });

  const asked = await operator.sendMessage({ to: "ada", body: "an unusual question", expectsReply: true });
  const inbox = await runner.readInbox({ agent: "ada" });
  expect(inbox.messages.map(({ body }) => body)).toEqual(["to the channel", "an unusual question"]);
  await runner.reportReceipts({ agent: "ada", stage: "injected", messageIds: [asked.messageId] });
  await runner.acknowledgeInbox({ agent: "ada", seq: 2 });
  const status = await operator.getMessageStatus({ id: asked.messageId });
  expect(JSON.stringify(status)).toContain("injected");
  expect((await operator.listObligations({})).obligations).toHaveLength(1);
  const { reminders } = await runner.takeReminders({ agent: "ada", fresh: true });
  expect(reminders.map(({ kind, messageId }) => [kind, messageId])).toEqual([["owed", asked.messageId]]);
  await agent.declineObligation({ messageId: asked.messageId, reason: "no time" });
  expect((await operator.listObligations({})).obligations).toEqual([]);
  const thread = await agent.getThread({ threadId: asked.threadId ?? "" });
  expect(thread.messages).toHaveLength(2);
  const found = await operator.searchMessages({ query: "unusual" });
  expect(found.messages.map(({ body }) => body)).toEqual(["an unusual question"]);
}

/** What people and runners say about agents, and the relay about itself. */
async function service({ as, operator, runner }: Story): Promise<void> {
  await runner.reportPresence({ state: "busy" });
  await operator.quarantineAgent({ agent: "ada", reason: "tried" });
  await operator.releaseAgent({ agent: "ada" });
  const at = new Date().toISOString();
  await runner.reportInsight({ id: newId(), kind: "hook_crashed", at, facts: { hook: "stop" } });
  expect((await operator.listInsights({})).insights).toHaveLength(1);
  const { kinds } = await operator.listInsightKinds({});
  expect(kinds.map(({ kind }) => kind)).toContain("hook_crashed");
  await operator.setInsightKind({ kind: "hook_crashed", enabled: false });
  const again = runner.reportInsight({ id: newId(), kind: "hook_crashed", at, facts: {} });
  await expect(again).rejects.toMatchObject({ code: "feature_disabled", status: 409 });
  expect((await as(undefined).getRelay({})).product).toBe("agent-relay");
  expect((await operator.getStatus({})).messages).toBe(4);
  expect((await operator.listAudit({})).entries.length).toBeGreaterThan(5);
  const { id } = await operator.makeBackup({});
  expect((await operator.getBackup({ id })).id).toBe(id);
}

/** The feed is no call of the client's: its description is used as it stands. */
async function feed({ used }: World, token: string): Promise<void> {
  const path = "/api/v1/feed";
  const stop = new AbortController();
  const response = await fetch(`${relay.server.url}${path}`, {
    headers: { Authorization: `Bearer ${token}` },
    signal: stop.signal,
  });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  stop.abort();
  used.push({ method: "get", path });
}

test("[C.30] the client uses every operation that the relay describes", async () => {
  const around = world();
  const operator = around.as(relay.operatorToken);
  const story = await identities({ ...around, operator });
  await messages(story);
  await service(story);
  await feed(around, relay.operatorToken);
  const document = await readDocument();
  expect(unused(document, around.used)).toEqual([]);
  // One that nobody uses would be named.
  const more = { ...document.paths, "/api/v1/moons/{moon}": { get: { operationId: "getMoon" } } };
  expect(unused({ paths: more }, around.used)).toEqual(["getMoon"]);
});
