/** How often a token may ask, in the bucket and over HTTP. */
import { expect, test } from "bun:test";
import { standingClock } from "../../test/fixtures/guesses.ts";
import { runningRelay } from "../../test/fixtures/running-relay.ts";
import { VirtualClock } from "../base/clock.ts";
import { limits } from "../limits.ts";
import { asId, type TokenId } from "../wire/id.ts";
import { createRates } from "./rates.ts";

const token = (name: string) => asId<TokenId>(name);

test("S18: a burst passes, then only what the rate gives back", () => {
  const clock = new VirtualClock(0);
  const rates = createRates({ clock, rate: { perSecond: 50, burst: 3 }, tokensMax: 10 });
  const taken = () => rates.take(token("a"));
  expect([taken(), taken(), taken(), taken()]).toEqual([0, 0, 0, 20]);
  clock.advance(19);
  expect(taken()).toBeGreaterThan(0);
  clock.advance(1);
  expect([taken(), taken()]).toEqual([0, 20]);
  clock.advance(3_600_000);
  expect([taken(), taken(), taken(), taken()]).toEqual([0, 0, 0, 20]);
});

test("S18: tokens do not take from each other, and no more buckets are kept than allowed", () => {
  const clock = new VirtualClock(0);
  const rates = createRates({ clock, rate: { perSecond: 1, burst: 1 }, tokensMax: 2 });
  expect([rates.take(token("a")), rates.take(token("a")), rates.take(token("b"))]).toEqual([0, 1_000, 0]);
  rates.take(token("c"));
  // The oldest made room and begins anew: a bound on memory, paid with one burst.
  expect([rates.take(token("c")), rates.take(token("a"))]).toEqual([1_000, 0]);
});

test("[C.25] S18: over HTTP a token that asks too often is told when to come back; another one is not affected", async () => {
  await using relay = await runningRelay({ requestRate: { perSecond: 1, burst: 3 } });
  const ask = () =>
    fetch(`${relay.server.url}/api/v1/status`, {
      headers: { Authorization: `Bearer ${relay.operatorToken}` },
    });
  const answers = [await ask(), await ask(), await ask(), await ask()];
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429]);
  const refused = answers[3];
  expect(refused?.headers.get("retry-after")).toBe("1");
  expect(await refused?.json()).toMatchObject({ code: "rate_limited", status: 429 });
  expect((await relay.client(undefined).getRelay({})).product).toBe("agent-relay");
});

test("S18: a request over the rate hears so late, an outbox at once, another token is served, and the end lets all go", async () => {
  const clock = standingClock(limits.rateHoldMs);
  const relay = await runningRelay({
    clock: { ...clock, skip() {} },
    requestRate: { perSecond: 0.001, burst: 4 },
  });
  const alice = await relay.enrol("alice");
  const agent = relay.client(alice.token);
  for (let i = 0; i < 4; i += 1) await agent.listAgents({});
  const answers: string[] = [];
  const held = [agent.listAgents({}), agent.getStatus({})].map((asked) =>
    asked.catch((error: Error) => answers.push(error.message.split(":")[0] ?? "")),
  );
  const storeId = "0190a000-0000-7000-8000-00000000000a";
  for (let i = 0; i < 3; i += 1) await alice.runner.openLane({ storeId });
  await expect(alice.runner.openLane({ storeId })).rejects.toMatchObject({ code: "rate_limited" });
  await relay.operator.listAgents({});
  expect(answers).toEqual([]);
  await relay.server.close();
  await Promise.all(held);
  expect(answers.sort()).toEqual(["getStatus", "listAgents"]);
});
