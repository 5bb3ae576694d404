/** The official SDK client, in both eras, through the endpoint: upstream up, down, hanging, legacy-only, modern-only. */
import { afterEach, describe, expect, test } from "bun:test";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { secret, type TestEndpoint, testEndpoint, until } from "../../test/fixtures/upstreams/endpoint.ts";
import {
  type ScriptedUpstream,
  scriptedUpstream,
  toolNamed,
} from "../../test/fixtures/upstreams/scripted.ts";

type Mode = "legacy" | "modern";
const closers: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function stage(prepare: (upstream: ScriptedUpstream) => void = () => {}) {
  const upstream = scriptedUpstream();
  closers.push(() => upstream.stop());
  prepare(upstream);
  const endpoint = await testEndpoint(upstream);
  closers.push(() => endpoint.close());
  return { upstream, endpoint };
}

async function connect(endpoint: TestEndpoint, mode: Mode): Promise<Client> {
  const client = new Client(
    { name: "test", version: "1" },
    { versionNegotiation: { mode: mode === "legacy" ? "legacy" : { pin: "2026-07-28" } } },
  );
  const headers = { Authorization: `Bearer ${secret}` };
  await client.connect(
    new StreamableHTTPClientTransport(new URL(endpoint.url), { requestInit: { headers } }),
  );
  closers.push(() => client.close());
  return client;
}

describe.each<Mode>(["legacy", "modern"])("the SDK client, %s", (mode) => {
  test("P1: [P1.7] opens, lists every page, calls", async () => {
    const { endpoint } = await stage((upstream) => {
      upstream.tools = ["a", "b", "c", "d", "e"].map((name) => toolNamed(name));
    });
    const client = await connect(endpoint, mode);
    expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(["a", "b", "c", "d", "e"]);
    const result = await client.callTool({ name: "c", arguments: {} });
    expect(result.content).toEqual([{ type: "text", text: "ran c" }]);
    expect(client.getServerCapabilities()?.tools).toEqual({ listChanged: true });
    expect(client.getInstructions()).toBe("be scripted");
  });

  test("P1: [P1.11] an SSE upstream with sessions is the same to it", async () => {
    const { endpoint } = await stage((upstream) => {
      upstream.sse = true;
      upstream.sessions = true;
    });
    const client = await connect(endpoint, mode);
    expect((await client.callTool({ name: "alpha", arguments: {} })).content).toEqual([
      { type: "text", text: "ran alpha" },
    ]);
  });

  test.each<Mode>(["legacy", "modern"])(
    "P1: [P1.11] an upstream that speaks only the %s era serves it",
    async (only) => {
      const { endpoint } = await stage((upstream) => {
        upstream.modern = only === "modern";
        upstream.legacy = only === "legacy";
      });
      const client = await connect(endpoint, mode === only ? mode : "legacy");
      expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(["alpha", "beta"]);
      expect((await client.callTool({ name: "beta", arguments: {} })).content).toEqual([
        { type: "text", text: "ran beta" },
      ]);
    },
  );

  test("P1: [P1.1] opens and lists with the upstream down, and gets its tools when it comes", async () => {
    const { upstream, endpoint } = await stage();
    await endpoint.close();
    await upstream.stop();
    const down = await testEndpoint(upstream);
    closers.push(() => down.close());
    const begun = performance.now();
    const client = await connect(down, mode);
    expect((await client.listTools()).tools).toEqual([]);
    expect(performance.now() - begun).toBeLessThan(1_500);
    upstream.start();
    await until("the tools have come", async () => (await client.listTools()).tools.length === 2);
    expect((await client.callTool({ name: "alpha", arguments: {} })).isError).toBeFalsy();
  });

  test("P1: [P1.2] opens with an upstream that hangs", async () => {
    const { endpoint } = await stage((upstream) => {
      upstream.fault = () => new Promise(() => {});
    });
    const begun = performance.now();
    const client = await connect(endpoint, mode);
    expect((await client.listTools()).tools).toEqual([]);
    expect(performance.now() - begun).toBeLessThan(1_500);
  });
});

test("P1: a client that opened as modern during an outage is served when the server turns out to be legacy", async () => {
  const upstream = scriptedUpstream();
  closers.push(() => upstream.stop());
  upstream.modern = false;
  upstream.sessions = true;
  await upstream.stop();
  const endpoint = await testEndpoint(upstream);
  closers.push(() => endpoint.close());
  const client = await connect(endpoint, "modern");
  upstream.start();
  await until("the tools have come", async () => (await client.listTools()).tools.length === 2);
  const result = await client.callTool({ name: "alpha", arguments: {} });
  expect(result.content).toEqual([{ type: "text", text: "ran alpha" }]);
});
