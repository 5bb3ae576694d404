/** The upstream's state after each kind of answer, and the canary that finds what no call has shown. */
import { describe, expect, test } from "bun:test";
import { smallLimits, testEndpoint, until } from "../../test/fixtures/upstreams/endpoint.ts";
import { scriptedUpstream } from "../../test/fixtures/upstreams/scripted.ts";
import { isTroubled, reachAfter } from "./reach.ts";
import type { UpstreamAnswer } from "./upstream-call.ts";

const json: UpstreamAnswer = { kind: "json", status: 200, bytes: new Uint8Array(), sessionId: undefined };
const refused = (status: number): UpstreamAnswer => ({
  kind: "refused",
  status,
  reason: "",
  error: undefined,
});
const gone = (ran: "no" | "unknown"): UpstreamAnswer => ({ kind: "unreachable", cause: "", ran });

test.each([
  ["an answer", json, "up"],
  ["an accepted notification", { kind: "accepted" } as UpstreamAnswer, "up"],
  ["a refused call", refused(404), "up"],
  ["a missing scope", refused(403), "up"],
  ["a refused token", refused(401), "auth"],
  ["no connection", gone("no"), "down"],
  ["a lost answer or a 5xx", gone("unknown"), "degraded"],
])("after %s", (_, answer, reach) => {
  expect(reachAfter(answer)).toBe(reach as never);
});

test("trouble is everything but connecting and up", () => {
  const reaches = ["connecting", "up", "degraded", "down", "auth"] as const;
  expect(reaches.filter(isTroubled)).toEqual(["degraded", "down", "auth"]);
});

describe("the canary", () => {
  const limits = { ...smallLimits, canaryIdleMs: 60 };

  test("[P1.1] finds that a quiet upstream has begun to fail, and that it answers again, without any call", async () => {
    const upstream = scriptedUpstream();
    const endpoint = await testEndpoint(upstream, { limits });
    try {
      const reach = () => endpoint.status().upstream.reach;
      await until("the upstream is up", () => reach() === "up");
      upstream.fault = () => new Response("starting", { status: 503 });
      await until("it is seen to fail", () => reach() === "degraded");
      upstream.fault = () => undefined;
      await until("it is seen to answer", () => reach() === "up");
      await upstream.stop();
      await until("it is seen to be gone", () => reach() === "down");
      upstream.start();
      await until("it is seen to be back", () => reach() === "up");
    } finally {
      await endpoint.close();
      await upstream.stop();
    }
  });

  test("is silent while calls show that the upstream answers", async () => {
    const upstream = scriptedUpstream();
    const endpoint = await testEndpoint(upstream, { limits: { ...smallLimits, canaryIdleMs: 5_000 } });
    try {
      await until("the upstream is up", () => endpoint.status().upstream.reach === "up");
      await Bun.sleep(50);
      const before = upstream.count("server/discover");
      await Bun.sleep(300);
      expect(upstream.count("server/discover")).toBe(before);
    } finally {
      await endpoint.close();
      await upstream.stop();
    }
  });
});
