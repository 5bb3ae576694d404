/** The MCP endpoint through a real relay and the official client, in both eras. */
import { describe, expect, test } from "bun:test";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { runningRelay } from "../../test/fixtures/running-relay.ts";
import { messageIdOf } from "../wire/id.ts";
import { deliveryNotes, operationNotes, receiptSchema } from "../wire/receipt.ts";
import { toolDefinitions, toolTable } from "../wire/tools.ts";

const eras = [
  { era: "legacy", mode: "legacy" },
  { era: "modern", mode: "auto" },
] as const;

async function connected(url: string, token: string, mode: "legacy" | "auto"): Promise<Client> {
  const client = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode } });
  const headers = { Authorization: `Bearer ${token}` };
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
  return client;
}

function firstText(result: { content?: unknown }): string {
  return (result.content as { text: string }[])[0]?.text ?? "";
}

describe.each(eras)("MCP in the $era era", ({ era, mode }) => {
  test("P3: [P3.1] tools/list shows exactly what the token's scopes allow", async () => {
    await using relay = await runningRelay();
    const { token } = await relay.enrol("alice");
    const client = await connected(relay.server.mcpUrl, token, mode);
    const { tools } = await client.listTools();
    expect(client.getProtocolEra()).toBe(era);
    expect(tools.map(({ name }) => name)).toEqual(Object.keys(toolTable));
    expect(tools[0]?.outputSchema as unknown).toEqual(
      toolDefinitions(["message:send"])[0]?.outputSchema as unknown,
    );
    expect(client.getServerCapabilities()?.tools?.listChanged).toBe(true);
    const { runnerToken } = await relay.enrol("bob");
    const runner = await connected(relay.server.mcpUrl, runnerToken, mode);
    expect((await runner.listTools()).tools.map(({ name }) => name)).toEqual([
      "relay_list_channels",
      "relay_list_agents",
    ]);
    await Promise.all([client.close(), runner.close()]);
  });

  test("P5: [P5.7] what became of a key: committed with its receipt, rejected with its reason, or unknown", async () => {
    await using relay = await runningRelay();
    const alice = await relay.enrol("alice");
    await relay.enrol("bob");
    const client = await connected(relay.server.mcpUrl, alice.token, mode);
    await client.listTools();
    const send = (to: string, idempotencyKey: string) =>
      client.callTool({ name: "relay_send_message", arguments: { to, body: "hello", idempotencyKey } });
    const sent = await send("bob", "k-sent");
    await send("nobody", "k-refused");
    const ask = async (idempotencyKey: string) =>
      (await client.callTool({ name: "relay_operation_status", arguments: { idempotencyKey } }))
        .structuredContent;
    expect(await ask("k-sent")).toMatchObject({
      state: "committed",
      receipt: sent.structuredContent,
      note: operationNotes.committed,
    });
    expect(await ask("k-refused")).toMatchObject({
      state: "rejected",
      reason: 'recipient_unknown: Send to "nobody": there is no agent of that name',
    });
    expect(await ask("k-never")).toEqual({
      idempotencyKey: "k-never",
      state: "unknown",
      note: operationNotes.unknown,
    });
    await client.close();
  });

  test("P2: send, check, reply; the same key takes effect once, with other arguments it is refused", async () => {
    await using relay = await runningRelay();
    const [alice, bob] = [await relay.enrol("alice"), await relay.enrol("bob")];
    const a = await connected(relay.server.mcpUrl, alice.token, mode);
    const b = await connected(relay.server.mcpUrl, bob.token, mode);
    await Promise.all([a.listTools(), b.listTools()]);
    const send = { to: "bob", body: "hello", expectsReply: true, idempotencyKey: "k1" };
    const sent = await a.callTool({ name: "relay_send_message", arguments: send });
    const receipt = receiptSchema.parse(sent.structuredContent);
    expect(receipt).toMatchObject({
      delivery: "sent",
      queued: false,
      idempotencyKey: "k1",
      note: deliveryNotes.sent,
    });
    expect(receipt.messageId).toBe(messageIdOf(alice.id as never, "k1" as never, false));

    const again = await a.callTool({ name: "relay_send_message", arguments: send });
    expect(again.structuredContent).toEqual({ ...receipt, replayed: true });
    const other = await a.callTool({
      name: "relay_send_message",
      arguments: { ...send, body: "something else" },
    });
    expect(other.isError).toBe(true);
    expect(receiptSchema.parse(other.structuredContent)).toMatchObject({ delivery: "rejected" });
    expect(receiptSchema.parse(other.structuredContent).reason).toStartWith("key_reused:");

    const checked = await b.callTool({ name: "relay_check_messages", arguments: {} });
    expect(checked.structuredContent).toMatchObject({
      messages: [
        { id: receipt.messageId, seq: 1, from: "alice", to: "bob", body: "hello", expectsReply: true },
      ],
      notices: [],
      more: false,
    });
    expect(firstText(checked)).toContain("from alice (agent)");
    expect(firstText(checked)).toContain("| hello");

    const replied = await b.callTool({
      name: "relay_reply",
      arguments: { messageId: receipt.messageId, body: "hi" },
    });
    expect(replied.structuredContent).toMatchObject({ delivery: "sent", threadId: receipt.messageId });
    const after = await b.callTool({ name: "relay_check_messages", arguments: { seenSeq: 1 } });
    expect(after.structuredContent).toEqual({ messages: [], notices: [], reminders: [], more: false });
    const answer = await a.callTool({ name: "relay_check_messages", arguments: {} });
    expect(answer.structuredContent).toMatchObject({
      messages: [{ from: "bob", body: "hi", replyTo: receipt.messageId, threadId: receipt.messageId }],
    });
    await Promise.all([a.close(), b.close()]);
  });

  test("refusals name their reason; an unknown tool is a protocol error", async () => {
    await using relay = await runningRelay();
    const alice = await relay.enrol("alice");
    const client = await connected(relay.server.mcpUrl, alice.token, mode);
    const unknown = await client.callTool({
      name: "relay_send_message",
      arguments: { to: "nobody", body: "x" },
    });
    expect(unknown.isError).toBe(true);
    expect(receiptSchema.parse(unknown.structuredContent).reason).toStartWith("recipient_unknown:");
    const malformed = await client.callTool({ name: "relay_send_message", arguments: { to: "alice" } });
    expect(malformed.isError).toBe(true);
    expect(firstText(malformed)).toStartWith("bad_request: relay_send_message: body:");
    await expect(client.callTool({ name: "relay_nothing", arguments: {} })).rejects.toMatchObject({
      code: -32602,
    });
    const runner = await connected(relay.server.mcpUrl, alice.runnerToken, mode);
    const forbidden = await runner.callTool({
      name: "relay_send_message",
      arguments: { to: "alice", body: "x" },
    });
    expect(forbidden.isError).toBe(true);
    expect(firstText(forbidden)).toBe(
      "forbidden: relay_send_message needs the scope message:send, which this token does not have",
    );
    const { agents } = (await client.callTool({ name: "relay_list_agents", arguments: {} }))
      .structuredContent as { agents: { name: string; self: boolean; online: boolean }[] };
    expect(agents.map(({ name, self, online }) => ({ name, self, online }))).toEqual([
      { name: "alice", self: true, online: false },
      { name: "operator", self: false, online: false },
    ]);
    await Promise.all([client.close(), runner.close()]);
  });
});

describe("MCP over plain HTTP", () => {
  const call = (id: number | null, name: string, args: Record<string, unknown>) => ({
    jsonrpc: "2.0",
    ...(id === null ? {} : { id }),
    method: "tools/call",
    params: { name, arguments: args },
  });
  const post = (
    url: string,
    token: string | undefined,
    body: unknown,
    headers: Record<string, string> = {},
  ) =>
    fetch(url, {
      method: "POST",
      headers: {
        Accept: "application/json, text/event-stream",
        "Content-Type": "application/json",
        ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
        ...headers,
      },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });

  test("a key in the Idempotency-Key header counts like one in the arguments", async () => {
    await using relay = await runningRelay();
    const { token, runner } = await relay.enrol("alice");
    const body = call(1, "relay_send_message", { to: "alice", body: "once" });
    const key = { "Idempotency-Key": "header-1" };
    const texts = [
      await (await post(relay.server.mcpUrl, token, body, key)).text(),
      await (await post(relay.server.mcpUrl, token, body, key)).text(),
    ];
    expect(texts.map((text) => text.includes('"replayed":true'))).toEqual([false, true]);
    expect((await runner.readInbox({ agent: "alice" })).messages.map(({ body }) => body)).toEqual(["once"]);
    const bad = await post(relay.server.mcpUrl, token, body, { "Idempotency-Key": "two words" });
    expect(await bad.text()).toContain("-32602");
  });

  test("an initialize that asks for 2024-11-05 is answered with a version this transport has", async () => {
    await using relay = await runningRelay();
    const { token } = await relay.enrol("alice");
    const initialize = (protocolVersion: string) => ({
      jsonrpc: "2.0",
      id: 1,
      method: "initialize",
      params: { protocolVersion, capabilities: {}, clientInfo: { name: "t", version: "1" } },
    });
    const versions = ["2024-11-05", "2025-06-18", "2025-11-25"];
    const texts = await Promise.all(
      versions.map(async (version) => (await post(relay.server.mcpUrl, token, initialize(version))).text()),
    );
    expect(texts.map((text) => /"protocolVersion":"([^"]+)"/.exec(text)?.[1])).toEqual([
      "2025-11-25",
      "2025-06-18",
      "2025-11-25",
    ]);
  });

  test("errors never carry a JSON-RPC body with a null id", async () => {
    await using relay = await runningRelay();
    const { token } = await relay.enrol("alice");
    const url = relay.server.mcpUrl;
    const message = call(7, "relay_list_agents", {});
    const answers = [
      { status: 401, response: await post(url, undefined, message) },
      { status: 401, response: await post(url, "arl_agt_nonsense", message) },
      { status: 400, response: await post(url, token, "{") },
      { status: 400, response: await post(url, token, "") },
      { status: 400, response: await post(url, token, "[]") },
      { status: 400, response: await post(url, token, { hello: 1 }) },
      { status: 415, response: await post(url, token, message, { "Content-Type": "text/plain" }) },
      { status: 405, response: await fetch(url, { headers: { Authorization: `Bearer ${token}` } }) },
    ];
    const seen = await Promise.all(
      answers.map(async ({ response }) => ({
        status: response.status,
        type: response.headers.get("content-type"),
        rpc: "jsonrpc" in ((await response.json()) as object),
      })),
    );
    expect(seen).toEqual(
      answers.map(({ status }) => ({ status, type: "application/problem+json", rpc: false })),
    );
    expect(answers[0]?.response.headers.get("www-authenticate")).toBe("Bearer");
  });

  test("P4: [P4.7] a subscription ends when its token is revoked", async () => {
    await using relay = await runningRelay();
    const { token } = await relay.enrol("alice");
    const client = await connected(relay.server.mcpUrl, token, "auto");
    const subscription = await client.listen({ toolsListChanged: true });
    const { tokens } = await relay.operator.listTokens({});
    const jti = tokens.find(({ kind }) => kind === "agent")?.id ?? "";
    await relay.operator.revokeToken({ id: jti });
    expect(["remote", "graceful"]).toContain(String(await subscription.closed));
    await client.close();
  });
});
