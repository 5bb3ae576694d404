/** The fault proxy must itself be beyond doubt: what it drops was committed, what it does not drop passes unchanged. */
import { afterEach, expect, test } from "bun:test";
import { seededRandom } from "../../src/base/random.ts";
import { type FaultProxyOptions, startFaultProxy } from "./fault-proxy.ts";

type Batch = { laneSession: number; records: { key: string; messageId: string }[] };

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A relay of a few lines: remembers every batch and answers with its keys, chunked as streams are. */
async function setUp(options: Pick<FaultProxyOptions, "dropRate" | "keys">) {
  const committed: Batch[] = [];
  const relay = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      if (request.method === "GET") return new Response("event: hello\n\n");
      const batch = (await request.json()) as Batch;
      committed.push(batch);
      return Response.json({ outcomes: batch.records.map(({ key, messageId }) => ({ key, messageId })) });
    },
  });
  const proxy = await startFaultProxy({ ...options, upstream: relay.url.origin, random: seededRandom(7) });
  closers.push(
    () => proxy.close(),
    () => void relay.stop(true),
  );
  const deliver = (key: string) =>
    fetch(`${proxy.url}/api/v1/lanes/a-store/records`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ laneSession: 1, records: [{ key, messageId: `id-of-${key}` }] }),
    }).then(
      async (response) => ((await response.json()) as { outcomes: unknown[] }).outcomes,
      () => "reset",
    );
  return { proxy, committed, deliver };
}

test("with no drops every answer passes, other requests too", async () => {
  const { proxy, committed, deliver } = await setUp({ dropRate: 0, keys: "stable" });
  expect(await deliver("k1")).toEqual([{ key: "k1", messageId: "id-of-k1" }]);
  expect(await (await fetch(`${proxy.url}/api/v1/feed`)).text()).toBe("event: hello\n\n");
  expect(committed.map(({ records }) => records[0]?.key)).toEqual(["k1"]);
  expect(proxy.counts).toEqual({ deliveries: 1, dropped: 0, droppedRecords: 0 });
});

test("a dropped answer was committed, and the sender sees a reset", async () => {
  const { proxy, committed, deliver } = await setUp({ dropRate: 1, keys: "stable" });
  expect(await deliver("k1")).toBe("reset");
  expect(committed.map(({ records }) => records[0]?.key)).toEqual(["k1"]);
  expect(proxy.counts).toEqual({ deliveries: 1, dropped: 1, droppedRecords: 1 });
});

test("about the asked share is dropped, and nothing is sent twice by itself", async () => {
  const { proxy, committed, deliver } = await setUp({ dropRate: 0.1, keys: "stable" });
  for (let n = 0; n < 200; n++) await deliver(`k${n}`);
  expect(committed).toHaveLength(200);
  expect(proxy.counts.dropped).toBeGreaterThan(8);
  expect(proxy.counts.dropped).toBeLessThan(40);
});

test("a key per attempt: the relay sees fresh names each time, the sender its own", async () => {
  const { committed, deliver } = await setUp({ dropRate: 0, keys: "key-per-attempt" });
  expect(await deliver("k1")).toEqual([{ key: "k1", messageId: "id-of-k1" }]);
  expect(await deliver("k1")).toEqual([{ key: "k1", messageId: "id-of-k1" }]);
  const seen = committed.flatMap(({ records }) => records.flatMap(({ key, messageId }) => [key, messageId]));
  expect(new Set(seen).size).toBe(4);
  expect(seen).not.toContain("k1");
});
