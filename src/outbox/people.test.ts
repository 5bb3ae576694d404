/** What people do with an outbox, and what the agent is told that is no end of a write. */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { answersAbout, ScriptedRelay } from "../../test/fixtures/outbox/scripted-relay.ts";
import { realClock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import { realRandom } from "../base/random.ts";
import { limits } from "../limits.ts";
import { asId } from "../wire/id.ts";
import type { WriteCall } from "../wire/write.ts";
import { metricsText } from "./metrics.ts";
import { inspectOutbox, type OutboxOptions, openOutbox } from "./outbox.ts";

const left: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of left.splice(0).reverse()) await end();
});

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), "outbox-people-"));
  left.push(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

async function open(relay: ScriptedRelay, dir: string, over: Partial<OutboxOptions> = {}) {
  const world = { clock: realClock, random: realRandom, log: silentLog, limits, relayId: "relay" };
  const outbox = await openOutbox({
    ...{ ...world, agentId: asId<OutboxOptions["agentId"]>("agent"), dir, deliverer: relay },
    ...over,
  });
  left.push(() => outbox.close());
  return outbox;
}

const call = (body: string): WriteCall => ({
  ...{ tool: "relay_send_message", arguments: { to: "bob", body } },
  ...{ key: undefined, callId: undefined, session: "s" },
});
const down = () => Object.assign(new ScriptedRelay(), { up: false });
const refuses = (text: string) =>
  answersAbout(text, (key) => ({ status: "rejected", key, code: "recipient_unknown", detail: "no bob" }));

async function until(what: string, holds: () => boolean): Promise<void> {
  const end = performance.now() + 3_000;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`${what} did not come within 3 s`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe("a paused outbox", () => {
  test("takes writes and sends none, also after a restart, until it is resumed", async () => {
    const [dir, relay] = [folder(), new ScriptedRelay()];
    const first = await open(relay, dir);
    await first.pause(true);
    const started = performance.now();
    expect((await first.write(call("one"), 5_000)).receipt.delivery).toBe("queued");
    expect(performance.now() - started).toBeLessThan(2_000);
    expect(first.status()).toMatchObject({ depth: 1, state: "paused" });
    await first.close();
    const second = await open(relay, dir);
    expect(await second.flush(100)).toBe(false);
    expect([second.status().state, relay.applied]).toEqual(["paused", []]);
    await second.pause(false);
    expect(await second.flush(2_000)).toBe(true);
    expect(relay.applied).toEqual(["one"]);
  });
});

describe("a record that ended without effect", () => {
  test("is sent again as a write of its own: another key, another id, once", async () => {
    const relay = new ScriptedRelay();
    relay.script = [refuses("hello")];
    const outbox = await open(relay, folder());
    const { receipt, recordId = 0 } = await outbox.write(call("hello"), 2_000);
    expect(receipt.delivery).toBe("rejected");
    const reply = await outbox.retry(recordId);
    expect(reply).toMatchObject({ status: "stored" });
    expect(await outbox.drained(2_000)).toBe(true);
    // The first delivery counts in the scripted relay as applied before it was refused.
    expect(relay.keys.flat()).toHaveLength(2);
    expect(new Set(relay.keys.flat()).size).toBe(2);
    const again = await outbox.records();
    expect(again.map(({ state }) => state)).toEqual(["rejected", "sent"]);
    expect(again[1]?.messageId).not.toBe(receipt.messageId as never);
  });

  test("what waits, was sent, may have been sent or is not there cannot be sent again", async () => {
    const relay = new ScriptedRelay();
    const outbox = await open(relay, folder());
    const { recordId = 0 } = await outbox.write(call("hello"), 2_000);
    expect(await outbox.retry(recordId)).toEqual({ status: "refused", reason: "the relay has it" });
    expect(await outbox.retry(77)).toEqual({ status: "unknown" });
    relay.up = false;
    relay.script = [() => new Promise(() => {})];
    await outbox.pause(true);
    const waits = await outbox.write(call("waits"), 0);
    expect(await outbox.retry(waits.recordId ?? 0)).toEqual({
      status: "refused",
      reason: "it waits and will be sent",
    });
    expect(relay.applied).toEqual(["hello"]);
  });

  test("is shown with its body only when that is asked for, and one that was sent has none", async () => {
    const relay = new ScriptedRelay();
    relay.script = [refuses("secret")];
    const outbox = await open(relay, folder());
    const { recordId = 0 } = await outbox.write(call("secret"), 2_000);
    expect(await outbox.show(recordId)).not.toHaveProperty("arguments");
    expect(await outbox.show(recordId, { body: true })).toMatchObject({
      state: "rejected",
      arguments: { to: "bob", body: "secret" },
    });
    const sent = await outbox.write(call("gone"), 2_000);
    expect(await outbox.show(sent.recordId ?? 0, { body: true })).not.toHaveProperty("arguments");
    expect(await outbox.show(99)).toBeUndefined();
  });
});

test("what this machine knows of a key is told: queued, ended, or nothing", async () => {
  const relay = down();
  const outbox = await open(relay, folder());
  const { receipt, recordId = 0 } = await outbox.write(call("hello"), 0);
  const key = asId<NonNullable<WriteCall["key"]>>(receipt.idempotencyKey);
  expect(await outbox.outcomeOf(key)).toMatchObject({
    key,
    state: "queued",
    messageId: receipt.messageId as never,
  });
  await outbox.drop([recordId]);
  expect(await outbox.outcomeOf(key)).toMatchObject({ state: "dropped" });
  expect(await outbox.outcomeOf(asId("never"))).toBeUndefined();
});

describe("[P5.8] the agent is told of a delay", () => {
  test("once per step, also over a restart, and no longer when the queue is empty", async () => {
    const [dir, relay] = [folder(), down()];
    const scale = { limits: { ...limits, delayNoticeMs: 400, delayNoticeLaterMs: 800 } };
    const first = await open(relay, dir, scale);
    await Promise.all([first.write(call("one"), 0), first.write(call("two"), 0)]);
    await until("the second notice", () => first.notices().length === 2);
    expect(first.notices()[0]).toMatchObject({ reason: "delayed", excerpt: "one", to: "bob" });
    expect(first.notices()[0]?.detail).toStartWith("2 writes wait, the oldest since ");
    await first.close();
    const second = await open(relay, dir, scale);
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(second.notices().map(({ reason }) => reason)).toEqual(["delayed", "delayed"]);
    relay.up = true;
    expect(await second.flush(3_000)).toBe(true);
    expect(second.notices()).toEqual([]);
    await second.close();
    expect((await open(relay, dir, scale)).notices()).toEqual([]);
  });
});

describe("[P5.9] a relay whose database was restored", () => {
  test("makes the agent hear which confirmed writes may be missing, once, also over a restart", async () => {
    const [dir, relay] = [folder(), new ScriptedRelay()];
    const first = await open(relay, dir);
    const keys: string[] = [];
    for (const body of ["one", "two"])
      keys.push((await first.write(call(body), 2_000)).receipt.idempotencyKey);
    await first.close();
    relay.generation = 2;
    const second = await open(relay, dir);
    await until("the notice", () => second.notices().length === 1);
    const [notice] = second.notices();
    expect(notice?.reason).toBe("restored");
    expect(notice?.detail).toContain(`may be missing, newest first: ${keys[1]}, ${keys[0]}`);
    await second.close();
    const third = await open(relay, dir);
    expect(await third.write(call("three"), 2_000)).toMatchObject({ receipt: { delivery: "sent" } });
    expect(third.notices().map(({ id }) => id)).toEqual([notice?.id ?? ""]);
  });

  test("says nothing to one that had confirmed nothing", async () => {
    const [dir, relay] = [folder(), new ScriptedRelay()];
    const first = await open(relay, dir);
    await until("the lane", () => relay.opened === 1);
    await first.metrics();
    await first.close();
    relay.generation = 2;
    const second = await open(relay, dir);
    expect((await second.write(call("one"), 2_000)).receipt.delivery).toBe("sent");
    expect(second.notices()).toEqual([]);
  });
});

test("the figures count what happened, in the form that Prometheus reads", async () => {
  const relay = new ScriptedRelay();
  relay.script = [undefined, refuses("bad")];
  const outbox = await open(relay, folder(), {
    validate: (one) => (one.arguments.body === "" ? "bad_request: empty" : undefined),
  });
  for (const body of ["good", "bad", ""]) await outbox.write(call(body), 2_000);
  const metrics = await outbox.metrics();
  expect(metrics.counts).toMatchObject({
    ...{ accepted: 2, sent: 1, bounced: { rejected: 1 }, refused: { bad_request: 1 } },
    attempts: { delivered: 2 },
  });
  expect(metrics.vitals).toMatchObject({ epoch: 1 });
  const text = metricsText('a"b', metrics);
  const lines = text.split("\n");
  expect(lines).toContain('agent_relay_outbox_accepted_total{outbox="a\\"b"} 2');
  expect(lines).toContain('agent_relay_outbox_bounced_total{outbox="a\\"b",reason="rejected"} 1');
  expect(lines).toContain('agent_relay_outbox_lane_blocked{outbox="a\\"b",reason="paused"} 0');
  expect(lines.filter((line) => !/^(?:#.*|[a-z_]+\{[^}]*\} -?[\d.e+-]+|)$/.test(line))).toEqual([]);
});

test("a store without an owner is read with whose it is, and nothing is changed", async () => {
  const dir = folder();
  const outbox = await open(down(), dir);
  await outbox.write(call("hello"), 0);
  await outbox.close();
  const found = await inspectOutbox(dir, limits);
  expect(found.identity).toEqual({ relayId: "relay", agentId: "agent" });
  expect(found.records).toHaveLength(1);
  expect(await inspectOutbox(join(dir, "none"), limits)).toEqual({ records: [], identity: undefined });
});
