/** The HTTP API through a real relay: what comes in, who may do what, and what is refused how. */
import { describe, expect, test } from "bun:test";
import { type EnrolledAgent, type RunningRelay, runningRelay } from "../../test/fixtures/running-relay.ts";
import { realRandom } from "../base/random.ts";
import { limits } from "../limits.ts";
import type { Client } from "../sdk/client.ts";
import { type OperationName, operationTable } from "../wire/api.ts";
import { messageIdOf, mintedKey, uuidV7 } from "../wire/id.ts";
import { defaultProfile } from "../wire/scope.ts";
import { tokenHash, tokenText } from "../wire/token.ts";

const newId = () => uuidV7(Date.now(), realRandom.bytes(10));
const secret = (kind: "operator" | "host" | "runner" | "agent") => tokenText(kind, realRandom.bytes(32));

function send(relay: RunningRelay, path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(relay.server.url + path, init);
}

function postMessage(relay: RunningRelay, init: RequestInit): Promise<Response> {
  const headers = { Authorization: `Bearer ${relay.operatorToken}`, "Content-Type": "application/json" };
  return send(relay, "/api/v1/messages", { method: "POST", headers, ...init });
}

async function codeOf(response: Response): Promise<string> {
  return `${response.status} ${((await response.json()) as { code: string }).code}`;
}

describe("the door", () => {
  const hostile = [
    { headers: { Host: "evil.example" } },
    { headers: { Host: "127.0.0.1" } },
    { headers: { Host: "127.0.0.1:1" } },
    { headers: { Host: "127.evil.com:PORT" } },
    { headers: { Host: "127.0.0.1.evil.com:PORT" } },
    { headers: { Host: "0x7f.1:PORT" } },
    { headers: { Host: "0.0.0.0:PORT" } },
    { headers: { Host: "127.1:PORT" } },
    { headers: { Host: "localhost.:PORT" } },
    { headers: { Host: "me@127.0.0.1:PORT" } },
    { headers: { Host: "[::ffff:127.0.0.1]:PORT" } },
    { headers: { Origin: "null" } },
    { headers: { Origin: "http://evil.example" } },
    { headers: { Origin: "https://127.0.0.1:PORT" } },
    { headers: { Origin: "http://127.0.0.1:1" } },
    { headers: { Origin: "http://127.0.0.1:PORT.evil.com" } },
    { headers: { "Sec-Fetch-Site": "cross-site" } },
  ];

  test("every hostile Host, Origin and cross-site request is refused before anything else", async () => {
    await using relay = await runningRelay();
    const { port } = new URL(relay.server.url);
    const answers = await Promise.all(
      hostile.map(async ({ headers }) => {
        const pairs = Object.entries(headers).map(([name, value]) => [name, value.replace("PORT", port)]);
        return codeOf(await send(relay, "/api/v1/relay", { headers: Object.fromEntries(pairs) }));
      }),
    );
    expect(answers).toEqual(hostile.map(() => "403 forbidden"));
  });

  test("the relay's own loopback names and origins come in", async () => {
    await using relay = await runningRelay();
    const { port } = new URL(relay.server.url);
    const welcome = [
      { Host: `127.0.0.1:${port}` },
      { Host: `localhost:${port}` },
      { Host: `[::1]:${port}` },
      { Origin: `http://127.0.0.1:${port}` },
    ];
    const statuses = await Promise.all(
      welcome.map(async (headers) => (await send(relay, "/api/v1/relay", { headers })).status),
    );
    expect(statuses).toEqual([200, 200, 200, 200]);
  });

  test("paths, methods and the pages that need no token", async () => {
    await using relay = await runningRelay();
    expect(await codeOf(await send(relay, "/nothing"))).toBe("404 not_found");
    expect(await codeOf(await send(relay, "/api/v1/inboxes/"))).toBe("404 not_found");
    const wrong = await send(relay, "/api/v1/tokens", { method: "DELETE" });
    expect(wrong.headers.get("allow")).toBe("POST, GET");
    expect(await codeOf(wrong)).toBe("405 method_not_allowed");
    const pages = await Promise.all(["/", "/healthz", "/readyz"].map((path) => send(relay, path)));
    expect(pages.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(pages[0]?.headers.get("content-type")).toBe("text/plain; charset=utf-8");
    expect(await pages[0]?.text()).toStartWith("Agent Relay 0.0.0\n");
  });
});

describe("bodies", () => {
  test("too large, not JSON, not UTF-8, too deep, another type, not an object", async () => {
    await using relay = await runningRelay();
    const large = new Uint8Array(limits.requestBodyBytesMax + 1).fill(32);
    const chunked = () => new Blob([large]).stream();
    const nested = (levels: number) => `${"[".repeat(levels)}${"]".repeat(levels)}`;
    const type = { Authorization: `Bearer ${relay.operatorToken}`, "Content-Type": "text/plain" };
    const answers = [
      await postMessage(relay, { body: large }),
      await postMessage(relay, { body: chunked() }),
      await postMessage(relay, { body: "{" }),
      await postMessage(relay, { body: new Uint8Array([0x22, 0xff, 0x22]) }),
      await postMessage(relay, { body: `{"a":${nested(limits.jsonDepthMax)}}` }),
      await postMessage(relay, { body: nested(100_000) }),
      await postMessage(relay, { body: "{}", headers: type }),
      await postMessage(relay, { body: "[]" }),
      await postMessage(relay, { body: JSON.stringify({ to: "operator", body: "x", extra: 1 }) }),
      await postMessage(relay, { body: "" }),
    ];
    expect(await Promise.all(answers.map(codeOf))).toEqual([
      "413 too_large",
      "413 too_large",
      "400 bad_request",
      "400 bad_request",
      "400 bad_request",
      "400 bad_request",
      "415 unsupported_media_type",
      "400 bad_request",
      "400 bad_request",
      "400 bad_request",
    ]);
  });

  test("the deepest allowed body is read", async () => {
    await using relay = await runningRelay();
    const deep = `${"[".repeat(limits.jsonDepthMax - 1)}${"]".repeat(limits.jsonDepthMax - 1)}`;
    const response = await postMessage(relay, { body: `{"to":"operator","body":${deep}}` });
    expect(((await response.json()) as { detail: string }).detail).toStartWith(
      "Send a message as oneself: body:",
    );
  });

  test("a query member that is given twice is refused", async () => {
    await using relay = await runningRelay();
    const headers = { Authorization: `Bearer ${relay.operatorToken}` };
    const twice = await send(relay, "/api/v1/inboxes/operator?limit=1&limit=2", { headers });
    expect(await codeOf(twice)).toBe("400 bad_request");
  });
});

describe("tokens", () => {
  test("none, unknown, badly formed and expired look alike; a revoked one is told so; all are 401", async () => {
    await using relay = await runningRelay();
    const alice = await relay.enrol("alice");
    await relay.client(alice.token).listAgents({});
    relay.clock.skip(limits.agentTokenMs);
    const message =
      "Authenticate: no token that this relay knows was given, 'Authorization: Bearer arl_…' was wanted";
    const alike = { code: "unauthorized", message };
    for (const text of [undefined, "hello", secret("agent"), alice.token]) {
      await expect(relay.client(text).listAgents({})).rejects.toMatchObject(alike);
    }
    const { tokens } = await relay.operator.listTokens({});
    const id = tokens.find(({ kind }) => kind === "runner")?.id ?? "";
    await alice.runner.listAgents({});
    expect((await relay.operator.revokeToken({ id })).revokedAt).toBeString();
    await expect(alice.runner.listAgents({})).rejects.toMatchObject({ code: "token_revoked", status: 401 });
  });

  test("P4: [P4.7] revoking a runner token takes its agent tokens with it", async () => {
    await using relay = await runningRelay();
    const alice = await relay.enrol("alice");
    const { tokens } = await relay.operator.listTokens({});
    await relay.operator.revokeToken({ id: tokens.find(({ kind }) => kind === "runner")?.id ?? "" });
    await expect(relay.client(alice.token).listAgents({})).rejects.toMatchObject({ code: "token_revoked" });
  });

  test("P3: [P3.8] minting again with the same hash gives the same token; another runner gets nothing", async () => {
    await using relay = await runningRelay();
    const [alice, bob] = [await relay.enrol("alice"), await relay.enrol("bob")];
    const secretHash = tokenHash(secret("agent"));
    const first = await alice.runner.mintAgentToken({ secretHash });
    const again = await alice.runner.mintAgentToken({ secretHash });
    expect(again).toEqual({ ...first, relayTime: again.relayTime });
    expect(first).toMatchObject({ scopes: [...defaultProfile.scopes], features: defaultProfile.features });
    expect(Date.parse(first.expiresAt) - Date.parse(first.relayTime)).toBe(limits.agentTokenMs);
    await expect(bob.runner.mintAgentToken({ secretHash })).rejects.toMatchObject({ code: "forbidden" });
    const own = { secretHash: tokenHash(alice.runnerToken) };
    await expect(bob.runner.mintAgentToken(own)).rejects.toMatchObject({ code: "forbidden" });
  });

  test("P3: [P3.8] an operator's token does not outlive the one that made it", async () => {
    await using relay = await runningRelay();
    const [short, child] = [secret("operator"), secret("host")];
    const facts = { note: "n", secretHash: tokenHash(short) };
    const made = await relay.operator.createToken({ kind: "operator", ttlSeconds: 60, ...facts });
    const host = await relay
      .client(short)
      .createToken({ kind: "host", note: "n", secretHash: tokenHash(child), ttlSeconds: 3_600 });
    expect(host.expiresAt).toBe(made.expiresAt);
    expect(host.scopes).toEqual(["runner:enrol"]);
    const { tokens } = await relay.operator.listTokens({});
    expect(tokens.map(({ id }) => id)).toContain(host.id);
    expect(JSON.stringify(tokens)).not.toContain(tokenHash(child));
  });

  test("P3: [P3.7] every row of the table refuses a token without its scope", async () => {
    await using relay = await runningRelay();
    const alice = await relay.enrol("alice");
    const holders = {
      operator: relay.operator,
      runner: alice.runner,
      agent: relay.client(alice.token),
      host: relay.client(await hostToken(relay)),
    };
    const rows = Object.entries(operationTable).flatMap(([name, row]) =>
      row.scope === "any" || row.scope === "none" ? [] : [{ name: name as OperationName, scope: row.scope }],
    );
    const { scopeTable } = await import("../wire/scope.ts");
    const refused = await Promise.all(
      rows.flatMap(({ name, scope }) =>
        (Object.keys(holders) as (keyof typeof holders)[])
          .filter((kind) => !(scopeTable[scope].holders as readonly string[]).includes(kind))
          .map((kind) => outcome(holders[kind], name)),
      ),
    );
    expect(new Set(refused)).toEqual(new Set(["forbidden"]));
    expect(refused.length).toBeGreaterThan(20);
  });
});

async function hostToken(relay: RunningRelay): Promise<string> {
  const text = secret("host");
  await relay.operator.createToken({ kind: "host", note: "h", secretHash: tokenHash(text) });
  return text;
}

async function outcome(client: Client, name: OperationName): Promise<string> {
  const request = { storeId: newId(), agent: "alice", id: newId() };
  const call = client[name] as (request: Record<string, unknown>) => Promise<unknown>;
  return call(request).then(
    () => "done",
    (error: { code: string }) => error.code,
  );
}

describe("runners", () => {
  const enrol = (relay: RunningRelay, token: string, more: object = {}) =>
    relay.operator.enrolRunner({
      agentName: "alice",
      provider: "exec",
      machine: "m2",
      secretHash: tokenHash(token),
      ...more,
    });

  test("[P4.9] a name is held by one runner until a takeover, after which the other may only deliver", async () => {
    await using relay = await runningRelay();
    const alice = await relay.enrol("alice");
    const second = secret("runner");
    await expect(enrol(relay, second)).rejects.toMatchObject({
      code: "name_taken",
      data: { machine: "test" },
    });
    const taken = await enrol(relay, second, { takeover: true });
    expect(taken.agentId).toBe(alice.id);
    await expect(alice.runner.listAgents({})).rejects.toMatchObject({ code: "displaced", status: 409 });
    await expect(
      alice.runner.mintAgentToken({ secretHash: tokenHash(secret("agent")) }),
    ).rejects.toMatchObject({ code: "displaced" });
    await expect(relay.client(alice.token).listAgents({})).rejects.toMatchObject({ code: "token_revoked" });
    expect(await alice.runner.openLane({ storeId: newId() })).toMatchObject({ laneSession: 1 });
    expect((await relay.client(second).listAgents({})).agents.map(({ name }) => name)).toEqual([
      "alice",
      "operator",
    ]);
  });

  test("enrolling again with the same secret is safe; reserved names and unknown profiles are refused", async () => {
    await using relay = await runningRelay();
    const token = secret("runner");
    const first = await enrol(relay, token);
    const again = await enrol(relay, token);
    expect(again).toEqual({ ...first, relayTime: again.relayTime });
    expect(first).toMatchObject({ profile: "default", relayId: relay.server.relayId });
    await expect(enrol(relay, secret("runner"), { agentName: "operator" })).rejects.toMatchObject({
      code: "name_taken",
    });
    await expect(enrol(relay, secret("runner"), { profile: "root" })).rejects.toMatchObject({
      code: "bad_request",
    });
  });
});

describe("messages and lanes", () => {
  const record = (alice: EnrolledAgent, body: string, key = mintedKey("relay_send_message", newId())) => ({
    key,
    messageId: messageIdOf(alice.id as never, key, true) as string,
    tool: "relay_send_message",
    arguments: { to: "bob", body } as Record<string, unknown>,
    enqueuedAt: new Date().toISOString(),
  });

  test("P2: a batch is applied in order, once; an older session of the lane is fenced", async () => {
    await using relay = await runningRelay();
    const [alice, bob] = [await relay.enrol("alice"), await relay.enrol("bob")];
    const storeId = newId();
    const first = await alice.runner.openLane({ storeId });
    expect(first).toMatchObject({ laneSession: 1, keyWindowMs: limits.outcomeRetentionMs });
    const records = [record(alice, "one"), record(alice, "two"), { ...record(alice, "x"), arguments: {} }];
    const batch = { storeId, laneSession: 1, records };
    const { outcomes } = await alice.runner.deliverRecords(batch);
    expect(outcomes.map(({ status }) => status)).toEqual(["committed", "committed", "rejected"]);
    const again = await alice.runner.deliverRecords(batch);
    expect(again.outcomes).toMatchObject([{ replayed: true }, { replayed: true }, { code: "bad_request" }]);
    const inbox = await bob.runner.readInbox({ agent: "bob" });
    expect(inbox.messages.map(({ seq, body }) => `${seq} ${body}`)).toEqual(["1 one", "2 two"]);
    await alice.runner.openLane({ storeId });
    const asked = { keys: records.map(({ key }) => key), lane: { storeId, laneSession: 2 } };
    expect((await alice.runner.findOutcomes(asked)).outcomes).toMatchObject(
      outcomes.map(({ key }) => ({ key })),
    );
    await expect(alice.runner.deliverRecords(batch)).rejects.toMatchObject({
      code: "lane_fenced",
      data: { newestSession: 2 },
    });
    await expect(bob.runner.openLane({ storeId })).rejects.toMatchObject({ code: "forbidden" });
  });

  test("the operator sends and reads every inbox, an agent its own", async () => {
    await using relay = await runningRelay();
    const [alice, bob] = [await relay.enrol("alice"), await relay.enrol("bob")];
    const receipt = await relay.operator.sendMessage({ to: "alice", body: "hi", idempotencyKey: "k" });
    const again = await relay.operator.sendMessage({ to: "alice", body: "hi", idempotencyKey: "k" });
    expect(again).toEqual({ ...receipt, replayed: true });
    await expect(
      relay.operator.sendMessage({ to: "alice", body: "other", idempotencyKey: "k" }),
    ).rejects.toMatchObject({ code: "key_reused", status: 422 });
    await expect(relay.operator.sendMessage({ to: "nobody", body: "hi" })).rejects.toMatchObject({
      code: "recipient_unknown",
    });
    const readers = [relay.operator, alice.runner, relay.client(alice.token)];
    const pages = await Promise.all(readers.map((client) => client.readInbox({ agent: "alice" })));
    expect(pages.map(({ messages }) => messages.map(({ from }) => from))).toEqual([
      ["operator"],
      ["operator"],
      ["operator"],
    ]);
    await expect(bob.runner.readInbox({ agent: "alice" })).rejects.toMatchObject({ code: "forbidden" });
    await expect(relay.operator.readInbox({ agent: "nobody" })).rejects.toMatchObject({ code: "not_found" });
  });

  test("acknowledging moves what is unread, only for one's own agent", async () => {
    await using relay = await runningRelay();
    const [alice, bob] = [await relay.enrol("alice"), await relay.enrol("bob")];
    for (const body of ["1", "2", "3"]) await relay.operator.sendMessage({ to: "alice", body });
    expect(await alice.runner.acknowledgeInbox({ agent: "alice", seq: 2 })).toEqual({ acknowledgedSeq: 2 });
    const unread = await alice.runner.readInbox({ agent: "alice", unread: "true" });
    expect(unread.messages.map(({ body }) => body)).toEqual(["3"]);
    await expect(bob.runner.acknowledgeInbox({ agent: "alice", seq: 3 })).rejects.toMatchObject({
      code: "forbidden",
    });
    expect(await relay.operator.getStatus({})).toMatchObject({
      agents: 3,
      messages: 3,
      unread: 1,
      online: 0,
    });
  });

  test("a page is cut before it is too large and says that there is more", async () => {
    await using relay = await runningRelay();
    await relay.enrol("alice");
    const body = "x".repeat(limits.messageBodyBytesMax);
    const wanted = limits.inboxPageBytesMax / limits.messageBodyBytesMax;
    for (let i = 0; i <= wanted; i++) await relay.operator.sendMessage({ to: "alice", body });
    const page = await relay.operator.readInbox({ agent: "alice" });
    expect({ count: page.messages.length, more: page.more }).toEqual({ count: wanted, more: true });
    const rest = await relay.operator.readInbox({ agent: "alice", afterSeq: wanted });
    expect({ count: rest.messages.length, more: rest.more }).toEqual({ count: 1, more: false });
  });
});
