/** What an agent hears of a key: from this machine while the write waits or was given up here, else from the relay. */
import { afterEach, expect, test } from "bun:test";
import { post, testEndpoint, testOutbox } from "../../test/fixtures/upstreams/endpoint.ts";
import { scriptedUpstream, toolNamed } from "../../test/fixtures/upstreams/scripted.ts";
import { asId } from "../wire/id.ts";
import type { LocalOutcome } from "../wire/write.ts";
import { relayPolicy } from "./policy.ts";

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const messageId = "0198c0de-0000-7000-8000-000000000001";

type Told = { content: [{ text: string }]; structuredContent: { reason?: string } };

async function ask(state: LocalOutcome["state"] | undefined) {
  const upstream = scriptedUpstream();
  upstream.tools = [toolNamed("relay_operation_status")];
  upstream.results.set("relay_operation_status", () => ({ content: [{ type: "text", text: "the relay" }] }));
  const known = {
    key: asId<LocalOutcome["key"]>("k-1"),
    messageId: asId<LocalOutcome["messageId"]>(messageId),
  };
  const outcome = state && { ...known, tool: "relay_reply", state, detail: "because" };
  const outbox = { ...testOutbox(), outcomeOf: async () => outcome };
  const endpoint = await testEndpoint(upstream, { outbox, policy: relayPolicy() });
  closers.push(
    () => upstream.stop(),
    () => endpoint.close(),
  );
  const args = { name: "relay_operation_status", arguments: { idempotencyKey: "k-1" } };
  const { json } = await post(endpoint, "modern", { method: "tools/call", params: args });
  return { result: json.result as Told, asked: upstream.count("tools/call") };
}

test.each([
  ["queued", "queued", undefined],
  ["sending", "queued", undefined],
  ["rejected", "rejected", "because"],
  ["expired", "ended", "because"],
  ["dropped", "ended", "because"],
] as const)(
  "P5: [P5.7] a write that is %s here is told as %s without the relay",
  async (state, told, reason) => {
    const { result, asked } = await ask(state);
    expect(result.structuredContent).toMatchObject({ idempotencyKey: "k-1", state: told, messageId });
    expect(result.structuredContent.reason).toBe(reason);
    expect(asked).toBe(0);
  },
);

test.each([["sent"], ["unknown"], [undefined]] as const)(
  "the relay is asked of a write that is %s here",
  async (state) => {
    const { result, asked } = await ask(state);
    expect(result.content[0].text).toBe("the relay");
    expect(asked).toBe(1);
  },
);
