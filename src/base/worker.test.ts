/** Calls into a worker, one message each and bundled: the same answers, in the same order. */
import { afterEach, expect, test } from "bun:test";
import type { EchoMethods } from "../../test/fixtures/workers/echo.worker.ts";
import { type WorkerClient, workerClient } from "./worker.ts";

const opened: WorkerClient<EchoMethods>[] = [];
afterEach(async () => {
  for (const client of opened.splice(0)) await client.close();
});

function start(bundle: number): WorkerClient<EchoMethods> {
  const worker = new Worker(new URL("../../test/fixtures/workers/echo.worker.ts", import.meta.url));
  const client = workerClient<EchoMethods>(worker, "echo", { bundle });
  opened.push(client);
  return client;
}

test.each([0, 1, 4])(
  "answers each call with its own, whatever is refused between (bundles of %d)",
  async (bundle) => {
    const client = start(bundle);
    const values = [1, "two", null, { three: [3, { deep: true }] }, "ü\u2028", ""];
    const calls = [
      ...values.map((value) => client.call("echo", value)),
      client.call("fail", "no"),
      client.call("echo", 7),
    ];
    const settled = await Promise.allSettled(calls);
    expect(settled.slice(0, -2).map((one) => "value" in one && one.value)).toEqual(values);
    expect(settled.at(-2)).toMatchObject({ reason: { name: "TypeError", message: "no" } });
    expect(settled.at(-1)).toEqual({ status: "fulfilled", value: 7 });
    expect(await client.call("echo", undefined)).toBeUndefined();
  },
);

test("a bundle holds the calls of one turn and is one group, a full one leaves at once", async () => {
  const client = start(3);
  await client.call("echo", "warm");
  const group = () => client.call("together", 0);
  expect(await Promise.all([group(), group()])).toEqual([2, 2]);
  const sizes = await Promise.all(Array.from({ length: 7 }, group));
  for (const size of sizes) expect([1, 3, 4, 6, 7]).toContain(size);
});

test("an answer that leaves early leaves once, whatever fails after it", async () => {
  const client = start(4);
  expect(await client.call("early", "the rest")).toBe("told");
  expect(await client.call("echo", 1)).toBe(1);
});

test("a closed worker refuses what waits and what comes, and nothing hangs", async () => {
  const client = start(4);
  const waits = client.call("echo", 1);
  await client.close();
  expect(await waits.catch(String)).toBe("Error: The echo worker was closed");
  expect(await client.call("echo", 2).catch(String)).toBe("Error: The echo worker was closed");
});

test("an argument that is no JSON value is refused to its caller, and the next call goes on", async () => {
  const client = start(4);
  expect(await client.call("echo", 1n).catch(String)).toMatch(/^TypeError.*BigInt/);
  expect(await client.call("echo", 2)).toBe(2);
});
