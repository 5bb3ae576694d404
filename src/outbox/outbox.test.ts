/** The outbox as the proxy uses it: real files, a scripted relay, answers in every case. */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  answerLost,
  answersAbout,
  failsWith,
  ScriptedRelay,
} from "../../test/fixtures/outbox/scripted-relay.ts";
import { realClock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import { realRandom } from "../base/random.ts";
import { limits } from "../limits.ts";
import { asId, messageIdOf } from "../wire/id.ts";
import { receiptSchema } from "../wire/receipt.ts";
import type { WriteCall } from "../wire/write.ts";
import { type OutboxOptions, openOutbox } from "./outbox.ts";

const agentId = asId<OutboxOptions["agentId"]>("agent");
const left: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of left.splice(0).reverse()) await end();
});

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), "outbox-"));
  left.push(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

async function open(relay: ScriptedRelay, dir: string, over: Partial<OutboxOptions> = {}) {
  const world = { clock: realClock, random: realRandom, log: silentLog, limits, relayId: "relay", agentId };
  const outbox = await openOutbox({ ...world, dir, deliverer: relay, ...over });
  left.push(() => outbox.close());
  return outbox;
}

const call = (body: string, over: Partial<WriteCall> = {}): WriteCall => ({
  tool: "relay_send_message",
  arguments: { to: "bob", body },
  key: undefined,
  callId: undefined,
  session: "s",
  ...over,
});

const own = (text: string) => asId<NonNullable<WriteCall["key"]>>(text);
const down = () => Object.assign(new ScriptedRelay(), { up: false });

/** Waits until it holds; throws after two seconds. */
async function until(what: string, holds: () => boolean): Promise<void> {
  const end = performance.now() + 2_000;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`${what} did not come within 2 s`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe("a write", () => {
  test("P5: that the relay takes is sent, with the relay's own result", async () => {
    const relay = new ScriptedRelay();
    const outbox = await open(relay, folder());
    const { receipt, result } = await outbox.write(call("hello"), 5_000);
    expect(receipt.delivery).toBe("sent");
    expect(result).toEqual({ content: [{ type: "text", text: "stored hello" }] });
    expect(receipt.messageId).toBe(receipt.idempotencyKey.slice(-36));
    expect(outbox.status()).toMatchObject({ depth: 0, state: "idle", lastError: undefined });
  });

  test("[P2.1] [P2.15] that cannot be delivered is queued at once, and its id is final", async () => {
    const relay = down();
    const outbox = await open(relay, folder());
    const before = performance.now();
    const first = await outbox.write(call("a"), 5_000);
    const second = await outbox.write(call("b"), 5_000);
    expect(performance.now() - before).toBeLessThan(2_000);
    expect(first.receipt).toMatchObject({ delivery: "queued", queued: true, lanePosition: 1 });
    expect(second.receipt).toMatchObject({ delivery: "queued", lanePosition: 2 });
    expect(receiptSchema.parse(second.result.structuredContent)).toEqual(second.receipt);
    expect(await outbox.records()).toMatchObject([
      { messageId: first.receipt.messageId, state: "queued", to: "bob", attempts: 0 },
      { messageId: second.receipt.messageId },
    ]);
    relay.up = true;
    expect(await outbox.flush(2_000)).toBe(true);
    expect(relay.applied).toEqual(["a", "b"]);
    expect(relay.keys.flat()).toEqual([first.receipt.idempotencyKey, second.receipt.idempotencyKey]);
  });

  test("[P2.2] O8: is on disk as perhaps sent before the relay gets it", async () => {
    const dir = folder();
    const relay = new ScriptedRelay();
    const seen: string[] = [];
    const outbox = await open(relay, dir);
    relay.always = async (_records, apply) => {
      for (const { state } of await outbox.records()) seen.push(state);
      return apply();
    };
    await outbox.write(call("first"), 5_000);
    await until("an open lane", () => outbox.status().state === "idle");
    await outbox.write(call("second"), 5_000);
    expect(seen).toEqual(["sending", "sending", "sent"]);
  });

  test("that the relay is slow with is queued after its time, and sent later", async () => {
    const relay = new ScriptedRelay();
    const { promise, resolve } = Promise.withResolvers<void>();
    relay.script = [
      async (_records, apply) => {
        await promise;
        return apply();
      },
    ];
    const outbox = await open(relay, folder());
    const { receipt } = await outbox.write(call("slow"), 30);
    expect(receipt.delivery).toBe("queued");
    resolve();
    expect(await outbox.drained(2_000)).toBe(true);
    expect(relay.applied).toEqual(["slow"]);
  });

  test("[P2.6] O7: never overtakes one that waits", async () => {
    const relay = new ScriptedRelay();
    relay.script = [answerLost];
    const outbox = await open(relay, folder());
    const texts = Array.from({ length: 30 }, (_, index) => `m${index}`);
    await Promise.all(texts.map((text) => outbox.write(call(text), 5_000)));
    expect(await outbox.drained(5_000)).toBe(true);
    expect(relay.applied).toEqual(texts);
  });

  test("[P2.5] P2: whose answer is lost again and again takes effect once", async () => {
    const relay = new ScriptedRelay();
    relay.script = [answerLost, undefined, answerLost, undefined, undefined, answerLost];
    const outbox = await open(relay, folder());
    for (const text of ["a", "b", "c", "d", "e"])
      expect((await outbox.write(call(text), 5_000)).receipt.delivery).toBe("sent");
    expect(relay.applied).toEqual(["a", "b", "c", "d", "e"]);
  });

  test("carries the recipient and the parent as the directory knows them", async () => {
    const relay = new ScriptedRelay();
    let sent: unknown;
    relay.script = [
      async (records, apply) => {
        [sent] = records;
        return apply();
      },
    ];
    const outbox = await open(relay, folder(), {
      recipientId: (name) => `id of ${name}`,
      parentOf: (messageId) => ({ from: "ann", threadId: `thread of ${messageId}` }),
    });
    await outbox.write(call("x", { arguments: { to: "bob", messageId: "m1", body: "x" } }), 5_000);
    expect(sent).toMatchObject({
      recipientId: "id of bob",
      parent: { from: "ann", threadId: "thread of m1" },
    });
  });
});

describe("O12 O15 [P2.12]: a write is refused in words", () => {
  const cases: [string, Partial<OutboxOptions>, WriteCall, string][] = [
    ["that is too large", {}, call("x".repeat(limits.recordBytesMax)), "payload_too_large: "],
    ["that is not valid", { validate: () => "bad_request: no body" }, call(""), "bad_request: no body"],
    ["when the check itself fails", { validate: () => JSON.parse("{") }, call(""), "internal: "],
    ["when the outbox is full", { limits: { ...limits, outboxRecordsMax: 0 } }, call("a"), "outbox_full: "],
    [
      "when the disk is full",
      { limits: { ...limits, outboxFileBytesMax: 200_000 } },
      call("x".repeat(230_000)),
      "disk_full: ",
    ],
  ];
  for (const [name, over, written, reason] of cases)
    test(name, async () => {
      const outbox = await open(down(), folder(), over);
      const { receipt, result, recordId } = await outbox.write(written, 5_000);
      expect(receipt).toMatchObject({ delivery: "refused", queued: false });
      expect(receipt.reason).toStartWith(reason);
      expect([result.isError, recordId]).toEqual([true, undefined]);
      expect(await outbox.records()).toEqual([]);
    });

  const pauses = { revoked: "token_revoked: ", fenced: "lane_fenced: ", removed: "agent_removed: " } as const;
  for (const [kind, reason] of Object.entries(pauses))
    test(`after the relay said ${kind}`, async () => {
      const relay = new ScriptedRelay();
      relay.script = [failsWith(kind as keyof typeof pauses, "no", "no")];
      const outbox = await open(relay, folder());
      await outbox.write(call("first"), 5_000);
      await until("the pause", () => outbox.status().state === "paused");
      const { receipt } = await outbox.write(call("second"), 5_000);
      expect([receipt.delivery, receipt.reason?.startsWith(reason)]).toEqual(["refused", true]);
    });

  test("when it is closing; who waits is told queued", async () => {
    const relay = new ScriptedRelay();
    relay.always = () => new Promise(() => {});
    const outbox = await open(relay, folder());
    const waiting = outbox.write(call("waits"), 60_000);
    await until("the attempt", () => outbox.status().state === "delivering");
    const closed = outbox.close();
    expect((await outbox.write(call("late"), 5_000)).receipt.reason).toStartWith("shutting_down");
    expect((await waiting).receipt.delivery).toBe("queued");
    await closed;
    expect([outbox.status().state, await outbox.drained(10)]).toEqual(["closed", false]);
  });
});

describe("a call that was made before", () => {
  test("O9 [P2.7]: by its own key gives the earlier receipt, other arguments are refused", async () => {
    const relay = new ScriptedRelay();
    const outbox = await open(relay, folder());
    const first = await outbox.write(call("a", { key: own("mine") }), 5_000);
    outbox.answered(first.recordId ?? 0, "s");
    outbox.seen("s");
    const again = await outbox.write(call("a", { key: own("mine") }), 5_000);
    const other = await outbox.write(call("b", { key: own("mine") }), 5_000);
    expect(again.receipt).toMatchObject({
      delivery: "sent",
      replayed: true,
      messageId: first.receipt.messageId,
    });
    expect(first.receipt.messageId).toBe(messageIdOf(agentId, own("mine"), false));
    expect(other.receipt).toMatchObject({ delivery: "refused" });
    expect(other.receipt.reason).toStartWith("key_reused: ");
    expect(relay.applied).toEqual(["a"]);
  });

  test("[P2.13] O10: by its call id gives the earlier receipt, also when that was seen and after a restart", async () => {
    const dir = folder();
    const relay = new ScriptedRelay();
    const first = await open(relay, dir);
    const { receipt, recordId } = await first.write(call("a", { callId: "run/1" }), 5_000);
    first.answered(recordId ?? 0, "s");
    first.seen("s");
    await first.close();
    const second = await open(relay, dir);
    const again = await second.write(call("a", { callId: "run/1", session: "t" }), 5_000);
    expect(again.receipt).toMatchObject({ replayed: true, idempotencyKey: receipt.idempotencyKey });
    expect((await second.write(call("b", { callId: "run/1" }), 5_000)).receipt.replayed).toBeUndefined();
    expect(relay.applied).toEqual(["a", "b"]);
  });

  test("[P2.13] O10: whose answer was never seen gives the earlier receipt, also after a restart", async () => {
    const dir = folder();
    const relay = down();
    const first = await open(relay, dir);
    const { receipt, recordId } = await first.write(call("a"), 5_000);
    first.answered(recordId ?? 0, "s");
    await first.close();
    const second = await open(relay, dir);
    const again = await second.write(call("a", { session: "another" }), 5_000);
    expect(again.receipt).toMatchObject({ delivery: "queued", replayed: true, messageId: receipt.messageId });
    relay.up = true;
    await second.flush(2_000);
    expect(relay.applied).toEqual(["a"]);
  });

  test("[P2.13] O10: whose answer was seen is a new write, also after a restart", async () => {
    const dir = folder();
    const relay = new ScriptedRelay();
    const first = await open(relay, dir);
    const { recordId } = await first.write(call("a"), 5_000);
    first.answered(recordId ?? 0, "s");
    first.seen("s");
    expect((await first.write(call("a"), 5_000)).receipt.replayed).toBeUndefined();
    first.answered((recordId ?? 0) + 1, "s");
    first.seen("s");
    await first.close();
    await (await open(relay, dir)).write(call("a"), 5_000);
    expect(relay.applied).toEqual(["a", "a", "a"]);
  });

  test("O10: two equal calls in flight at once are two when their call ids differ", async () => {
    const relay = new ScriptedRelay();
    const outbox = await open(relay, folder());
    await Promise.all(["1", "2"].map((callId) => outbox.write(call("ping", { callId }), 5_000)));
    expect(relay.applied).toEqual(["ping", "ping"]);
  });

  test("of a rejected write is answered with the rejection again", async () => {
    const relay = new ScriptedRelay();
    relay.script = [
      answersAbout("a", (key) => ({ status: "rejected", key, code: "recipient_unknown", detail: "no bob" })),
    ];
    const outbox = await open(relay, folder());
    for (const replayed of [undefined, true]) {
      const { receipt } = await outbox.write(call("a", { key: own("k") }), 5_000);
      expect(receipt).toMatchObject({ delivery: "rejected", reason: "recipient_unknown: no bob" });
      expect(receipt.replayed).toBe(replayed);
    }
  });
});

describe("O11 [P5.5] notices", () => {
  const rejecting = () => {
    const relay = down();
    relay.always = answersAbout("bad", (key) => ({
      status: "rejected",
      key,
      code: "forbidden",
      detail: "no",
    }));
    return relay;
  };

  test("[P2.10] tell of a queued write that was refused later, until seen, over a restart", async () => {
    const dir = folder();
    const relay = rejecting();
    const first = await open(relay, dir);
    const heard: string[] = [];
    first.onNotice(({ detail }) => heard.push(detail));
    const { receipt } = await first.write(call("bad"), 5_000);
    relay.up = true;
    await first.flush(2_000);
    await until("the notice", () => first.notices().length === 1);
    const [notice] = first.notices();
    expect(notice).toMatchObject({
      reason: "rejected",
      messageId: receipt.messageId,
      excerpt: "bad",
      to: "bob",
    });
    expect(heard).toEqual(["forbidden: no"]);
    first.noticesAnswered([notice?.id ?? ""], "s");
    await first.close();

    const second = await open(relay, dir);
    expect(second.notices()).toEqual([...(notice === undefined ? [] : [notice])]);
    second.noticesAnswered([notice?.id ?? ""], "t");
    second.seen("other");
    expect(second.notices()).toHaveLength(1);
    second.seen("t");
    expect(second.notices()).toEqual([]);
    await second.close();
    expect((await open(relay, dir)).notices()).toEqual([]);
  });

  test("do not repeat a rejection that the agent was answered with and has seen", async () => {
    const relay = rejecting();
    relay.up = true;
    const outbox = await open(relay, folder());
    const { receipt, recordId } = await outbox.write(call("bad"), 5_000);
    expect([receipt.delivery, outbox.notices()]).toEqual(["rejected", []]);
    outbox.answered(recordId ?? 0, "s");
    outbox.seen("s");
    await outbox.records();
    expect(outbox.notices()).toEqual([]);
  });

  test("tell of a rejection whose answer never left", async () => {
    const relay = rejecting();
    relay.up = true;
    const outbox = await open(relay, folder());
    await outbox.write(call("bad"), 5_000);
    await outbox.records();
    outbox.seen("s");
    expect(outbox.notices()).toMatchObject([{ reason: "rejected", excerpt: "bad" }]);
  });

  test("tell of a write that a person dropped", async () => {
    const outbox = await open(down(), folder());
    const { recordId } = await outbox.write(call("a"), 5_000);
    expect(await outbox.drop([recordId ?? 0, 99])).toBe(1);
    expect(outbox.notices()).toMatchObject([{ reason: "dropped", excerpt: "a" }]);
    expect(outbox.status().depth).toBe(0);
  });
});

test("P2: what was under way when the outbox closed goes out again under the same key", async () => {
  const dir = folder();
  const relay = new ScriptedRelay();
  const { promise } = Promise.withResolvers<never>();
  relay.script = [
    (_records, apply) => {
      apply();
      return promise;
    },
  ];
  const first = await open(relay, dir);
  const { receipt } = await first.write(call("a"), 20);
  await until("the attempt", () => relay.deliveries.length === 1);
  await first.close();
  const second = await open(relay, dir);
  expect(await second.drained(2_000)).toBe(true);
  expect(relay.keys).toEqual([[receipt.idempotencyKey], [receipt.idempotencyKey]]);
  expect(relay.applied).toEqual(["a"]);
});
