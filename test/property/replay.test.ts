/**
 * The third enforcement point at a foreign upstream: what was queued under an earlier policy is judged by the one of
 * this run before it is sent. At our own relay its store judges; `never-widen.test.ts` covers that.
 */
import { afterAll, expect, test } from "bun:test";
import { realClock } from "../../src/base/clock.ts";
import { createHttpClient } from "../../src/base/http/client.ts";
import { upstreamDeliverer } from "../../src/proxy/deliver.ts";
import type { Context } from "../../src/proxy/narrow.ts";
import { type Policy, parsePolicy } from "../../src/proxy/policy.ts";
import { asId } from "../../src/wire/id.ts";
import type { LaneRecord } from "../../src/wire/lane.ts";
import { smallLimits } from "../fixtures/upstreams/endpoint.ts";
import { scriptedUpstream } from "../fixtures/upstreams/scripted.ts";
import { changedProduct } from "./product.ts";

const upstream = scriptedUpstream();
afterAll(() => upstream.stop());

const record: LaneRecord = {
  key: asId("k-1"),
  messageId: "0198c0de-0000-7000-8000-000000000001",
  tool: "alpha",
  arguments: {},
  enqueuedAt: new Date(0).toISOString(),
};

type Moment = { worktree?: Context["worktree"]; make?: typeof upstreamDeliverer };

async function delivered(policy: Policy, { worktree = "none", make = upstreamDeliverer }: Moment = {}) {
  const client = createHttpClient({ origin: upstream.origin, clock: realClock, limits: smallLimits });
  const deliverer = make({
    upstream: { client, path: upstream.path, credential: () => undefined, refresh: async () => false },
    ...{ policy, limits: smallLimits, clock: realClock, context: () => ({ worktree }) },
  });
  try {
    return await deliverer.deliver([record], 1, AbortSignal.timeout(2_000));
  } finally {
    client.close();
  }
}

const row = { buffered: true, key: "header" };
const hidden = { ...row, shownWhen: "isolated-worktree" };

test("P3: a queued write that the policy shows is sent", async () => {
  const [outcome] = await delivered(parsePolicy({ tools: { alpha: row } }));
  expect(outcome?.status).toBe("committed");
  expect(upstream.count("tools/call")).toBe(1);
});

test("P3: a queued write that the policy hides by now comes back and is not sent", async () => {
  const before = upstream.count("tools/call");
  const [outcome] = await delivered(parsePolicy({ tools: { alpha: hidden } }));
  expect(outcome?.status).toBe("rejected");
  expect(upstream.count("tools/call")).toBe(before);
});

test("P3: a queued write that this context shows is sent", async () => {
  const before = upstream.count("tools/call");
  const [outcome] = await delivered(parsePolicy({ tools: { alpha: hidden } }), { worktree: "isolated" });
  expect(outcome?.status).toBe("committed");
  expect(upstream.count("tools/call")).toBe(before + 1);
});

test("the test is red when what is replayed is not judged", async () => {
  const { product, remove } = await changedProduct({
    file: "proxy/deliver.ts",
    from: "const why = replayRefusal(record.tool, options);",
    to: "const why = undefined;",
  });
  try {
    const make = product.deliver.upstreamDeliverer;
    const [outcome] = await delivered(parsePolicy({ tools: { alpha: hidden } }), { make });
    expect(outcome?.status).toBe("committed");
  } finally {
    remove();
  }
});
