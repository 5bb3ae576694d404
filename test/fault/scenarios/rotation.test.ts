/**
 * Failure scenario 7: the token rotates in the middle of a session, before a foreign upstream (its token in a file) and
 * before a real relay (tokens minted and revoked).
 */
import { describe, expect, test } from "bun:test";
import { realClock } from "../../../src/base/clock.ts";
import { createHttpClient } from "../../../src/base/http/client.ts";
import { realRandom } from "../../../src/base/random.ts";
import { relayPolicy } from "../../../src/proxy/policy.ts";
import { scopesOf } from "../../../src/wire/scope.ts";
import { tokenHash, tokenText } from "../../../src/wire/token.ts";
import { toolDefinitions } from "../../../src/wire/tools.ts";
import { runningRelay } from "../../fixtures/running-relay.ts";
import { secret, smallLimits } from "../../fixtures/upstreams/endpoint.ts";
import type { ScriptedUpstream } from "../../fixtures/upstreams/scripted.ts";
import { eras, nothingNoticed, noticed, Stage } from "./stage.ts";

/** Tokens of the requests for this method, in their order. */
function bearers(upstream: ScriptedUpstream, method: string): string[] {
  return upstream.seen
    .filter((seen) => seen.method === method)
    .map(({ headers }) => (headers.get("authorization") ?? "").replace("Bearer ", ""));
}

describe("7: the token rotates in the middle of a session", () => {
  test.concurrent.each([...eras])(
    "[P1.6] 7: %s: what is in flight finishes, a 401 is one refresh and one retry, and the session stays",
    async (era) => {
      await using stage = new Stage();
      const upstream = stage.upstream({ token: "first", sessions: true });
      let release = () => {};
      const held = new Promise<void>((resolve) => {
        release = resolve;
      });
      upstream.results.set("alpha", async () => {
        await held;
        return { content: [{ type: "text", text: "slow but done" }] };
      });
      const proxy = await stage.proxy(upstream.origin, { tokenFile: stage.tokenFile("first") });
      const agent = await stage.client(proxy, era);
      await agent.toolNames();
      const slow = agent.call("alpha");
      while (upstream.count("tools/call") === 0) await Bun.sleep(5);

      upstream.token = "second";
      stage.tokenFile("second");
      const begun = performance.now();
      const calls = await Promise.all(Array.from({ length: 12 }, () => agent.call("beta")));
      expect(calls.filter(({ text }) => text !== "ran beta")).toEqual([]);
      // No pause of a back-off was spent on it.
      expect(performance.now() - begun).toBeLessThan(1_000);
      const tokens = bearers(upstream, "tools/call");
      expect(tokens.filter((token) => token === "second")).toHaveLength(12);
      expect(tokens.filter((token) => token === "first").length).toBeGreaterThan(1);
      expect(tokens.length).toBeLessThanOrEqual(1 + 2 * 12);
      release();
      expect(await slow).toMatchObject({ text: "slow but done", isError: false });
      expect(agent.streams.opened).toBe(1);
      expect(noticed(agent)).toEqual(nothingNoticed);
    },
    15_000,
  );

  test.concurrent.each([...eras])(
    "[P1.4] 7: %s: a token that stays wrong is one attempt, one that is still wrong after the refresh is two; then it works at once",
    async (era) => {
      await using stage = new Stage();
      const upstream = stage.upstream({ token: "first" });
      const proxy = await stage.proxy(upstream.origin, { tokenFile: stage.tokenFile("first") });
      const agent = await stage.client(proxy, era);
      await agent.toolNames();
      expect(await agent.call("alpha")).toMatchObject({ isError: false });

      upstream.token = "second";
      // What the proxy asks by itself would find the third token first: with it, no tools are known and none is called.
      const held = Promise.withResolvers<undefined>();
      upstream.fault = ({ method }) => (method === "tools/call" ? undefined : held.promise);
      const from = upstream.count("tools/call");
      const stays = await agent.call("alpha");
      expect(stays.isError).toBe(true);
      expect(stays.text).toContain("HTTP 401");
      expect(upstream.count("tools/call") - from).toBe(1);

      stage.tokenFile("third");
      const wrong = await agent.call("alpha");
      expect(wrong.text).toContain("HTTP 401");
      expect(bearers(upstream, "tools/call").slice(from + 1)).toEqual(["first", "third"]);

      held.resolve(undefined);
      stage.tokenFile("second");
      const begun = performance.now();
      expect(await agent.call("alpha")).toEqual({ text: "ran alpha", isError: false, meta: undefined });
      expect(performance.now() - begun).toBeLessThan(1_000);
      expect(noticed(agent)).toEqual(nothingNoticed);
    },
    15_000,
  );

  test.concurrent("[P1.5] 7: an upstream that drops its sessions with the old token is opened again", async () => {
    await using stage = new Stage();
    const upstream = stage.upstream({ token: "first", sessions: true, modern: false });
    const proxy = await stage.proxy(upstream.origin, { tokenFile: stage.tokenFile("first") });
    const agent = await stage.client(proxy, "legacy");
    expect(await agent.call("alpha")).toMatchObject({ isError: false });
    upstream.token = "second";
    stage.tokenFile("second");
    upstream.forgetSessions();
    const told = await Promise.all(Array.from({ length: 8 }, () => agent.call("alpha")));
    expect(told.filter(({ isError }) => isError)).toEqual([]);
    expect(noticed(agent)).toEqual(nothingNoticed);
  }, 15_000);

  test.concurrent.each([...eras])(
    "[P1.6] 7: %s: before a real relay, with the old token revoked, twelve calls share one refresh",
    async (era) => {
      await using stage = new Stage();
      const relay = await runningRelay();
      stage.own(() => relay[Symbol.asyncDispose]());
      const alice = await relay.enrol("alice");
      const { tokens: listed } = await relay.operator.listTokens({});
      const old = listed.find(({ kind, agent }) => kind === "agent" && agent === "alice");
      const next = tokenText("agent", realRandom.bytes(32));
      let token = alice.token;
      let refreshes = 0;
      const endpoint = await stage.endpoint(relay.server.url, {
        policy: relayPolicy(),
        builtin: () => toolDefinitions(scopesOf("agent")),
        upstream: {
          client: createHttpClient({ origin: relay.server.url, clock: realClock, limits: smallLimits }),
          path: "/api/mcp",
          credential: () => token,
          async refresh() {
            refreshes += 1;
            await alice.runner.mintAgentToken({ secretHash: tokenHash(next) });
            token = next;
            return true;
          },
        },
      });
      const agent = await stage.client({ url: endpoint.url, secret }, era);
      const names = await agent.toolNames();
      expect(await agent.call("relay_list_agents")).toMatchObject({ isError: false });
      await relay.operator.revokeToken({ id: old?.id ?? "" });
      // The old token really is of no use any more.
      const direct = await fetch(relay.server.mcpUrl, {
        method: "POST",
        headers: { authorization: `Bearer ${alice.token}`, "content-type": "application/json" },
        body: "{}",
      });
      expect(direct.status).toBe(401);
      const told = await Promise.all(Array.from({ length: 12 }, () => agent.call("relay_list_agents")));
      expect(told.filter(({ isError }) => isError)).toEqual([]);
      expect(refreshes).toBe(1);
      expect(await agent.toolNames()).toEqual(names);
      expect(agent.changes).toEqual([]);
      expect(noticed(agent)).toEqual(nothingNoticed);
    },
    15_000,
  );
});
