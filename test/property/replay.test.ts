/**
 * The third enforcement point at a foreign upstream: what was queued under an earlier policy is judged by the one of
 * this run before it is sent. At our own relay its store judges; `never-widen.test.ts` covers that.
 */
import { afterAll, expect, test } from "bun:test";
import { realClock } from "../../src/base/clock.ts";
import { createHttpClient } from "../../src/base/http/client.ts";
import { upstreamDeliverer } from "../../src/proxy/deliver.ts";
import { type Policy, parsePolicy } from "../../src/proxy/policy.ts";
import { asId } from "../../src/wire/id.ts";
import type { LaneRecord } from "../../src/wire/lane.ts";
import { smallLimits } from "../fixtures/upstreams/endpoint.ts";
import { scriptedUpstream } from "../fixtures/upstreams/scripted.ts";

const upstream = scriptedUpstream();
afterAll(() => upstream.stop());

const record: LaneRecord = {
  key: asId("k-1"),
  messageId: "0198c0de-0000-7000-8000-000000000001",
  tool: "alpha",
  arguments: {},
  enqueuedAt: new Date(0).toISOString(),
};

async function delivered(policy: Policy) {
  const client = createHttpClient({ origin: upstream.origin, clock: realClock, limits: smallLimits });
  const deliverer = upstreamDeliverer({
    upstream: { client, path: upstream.path, credential: () => undefined, refresh: async () => false },
    ...{ policy, limits: smallLimits, clock: realClock },
  });
  try {
    return await deliverer.deliver([record], 1, AbortSignal.timeout(2_000));
  } finally {
    client.close();
  }
}

const row = { buffered: true, key: "header" };

test("P3: a queued write that the policy shows is sent", async () => {
  const [outcome] = await delivered(parsePolicy({ tools: { alpha: row } }));
  expect(outcome?.status).toBe("committed");
  expect(upstream.count("tools/call")).toBe(1);
});

test("P3: a queued write that the policy hides by now comes back and is not sent", async () => {
  const before = upstream.count("tools/call");
  const hidden = { ...row, shownWhen: "isolated-worktree" };
  const [outcome] = await delivered(parsePolicy({ tools: { alpha: hidden } }));
  expect(outcome?.status).toBe("rejected");
  expect(upstream.count("tools/call")).toBe(before);
});
