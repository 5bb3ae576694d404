/**
 * The product's outbox as the rig runs it, and the wrong ones of the negative controls. Each wrong one is a wrapper
 * around the product's parts: the product itself has no switch for it.
 */
import { realRandom } from "../../../src/base/random.ts";
import { asId, type MessageId, uuidV7 } from "../../../src/wire/id.ts";
import type { LaneOutcome, LaneRecord } from "../../../src/wire/lane.ts";
import { type Receipt, receipt, receiptResult } from "../../../src/wire/receipt.ts";
import type { Deliverer, Outbox, WriteAnswer, WriteCall } from "../../../src/wire/write.ts";
import { die } from "./die.ts";
import type { Crash } from "./points.ts";

/**
 * product: nothing changed. naive: sends live, without a key, and again after an error. key-per-attempt: a fresh key
 * each time. delete-before-ack: takes a record off the queue before the relay has answered.
 */
export type Variant = "product" | "naive" | "key-per-attempt" | "delete-before-ack";

const freshUuid = () => uuidV7(Date.now(), realRandom.bytes(10));

/** The deliverer of a variant, which dies at the crash's point. */
export function variantDeliverer(
  inner: Deliverer,
  { variant, crash }: { variant: Variant; crash: Crash | undefined },
): Deliverer {
  let occurrence = 0;
  const isNow = (point: Crash["point"]): boolean => {
    if (crash?.point !== point) return false;
    occurrence += 1;
    return occurrence === crash.nth;
  };
  const deliver: Deliverer["deliver"] = async (records, laneSession, signal) => {
    const dies = isNow("mid-request");
    const answer = attempt(inner, { variant, records, laneSession, signal });
    if (dies && crash !== undefined) {
      // The request is on its way; whether the relay has it by then is left to chance.
      await Bun.sleep(realRandom.fraction() * 4);
      die(crash);
    }
    const outcomes = await answer;
    if (isNow("after-response") && crash !== undefined) die(crash);
    return outcomes;
  };
  return { ...inner, deliver, open: inner.open.bind(inner), probe: inner.probe.bind(inner) };
}

type Attempt = {
  variant: Variant;
  records: readonly LaneRecord[];
  laneSession: number;
  signal: AbortSignal;
};

async function attempt(
  inner: Deliverer,
  { variant, records, laneSession, signal }: Attempt,
): Promise<LaneOutcome[]> {
  if (variant === "key-per-attempt") {
    const fresh = records.map((record) => ({
      ...record,
      key: asId<LaneRecord["key"]>(`attempt-${freshUuid()}`),
      messageId: freshUuid(),
    }));
    const outcomes = await inner.deliver(fresh, laneSession, signal);
    return outcomes.map((outcome, index) => ({ ...outcome, key: records[index]?.key ?? "" }));
  }
  if (variant === "delete-before-ack") {
    // Off the queue at once; the request goes out a moment later and only memory knows of it.
    void Bun.sleep(30).then(() =>
      inner.deliver(records, laneSession, new AbortController().signal).catch(() => {}),
    );
    return records.map(({ key, tool, messageId }) => ({
      status: "committed",
      key,
      replayed: false,
      result: receiptResult(receipt({ delivery: "sent", tool, key: asId(key), messageId: asId(messageId) })),
    }));
  }
  return inner.deliver(records, laneSession, signal);
}

/** The outbox that the endpoint sees. */
export function variantOutbox(
  product: Outbox,
  options: { variant: Variant; relayUrl: string; token: string },
): Outbox {
  return options.variant === "naive" ? naiveOutbox(product, options) : product;
}

/**
 * The algorithm that most programs begin with: try the call, and when that fails keep it in memory and try it again
 * until it works. No key, no order.
 */
function naiveOutbox(rest: Outbox, { relayUrl, token }: { relayUrl: string; token: string }): Outbox {
  let waiting = 0;
  const post = async ({ arguments: { to, body } }: WriteCall): Promise<Receipt> => {
    const response = await fetch(`${relayUrl}/api/v1/messages`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
      body: JSON.stringify({ to, body }),
    });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return (await response.json()) as Receipt;
  };
  const again = async (call: WriteCall): Promise<void> => {
    for (;;) {
      await Bun.sleep(20);
      try {
        await post(call);
        waiting -= 1;
        return;
      } catch {
        // As the naive algorithm does: once more.
      }
    }
  };
  const write = async (call: WriteCall): Promise<WriteAnswer> => {
    try {
      const told = await post(call);
      return { receipt: told, result: receiptResult(told), recordId: undefined };
    } catch {
      waiting += 1;
      void again(call);
      const messageId = asId<MessageId>(freshUuid());
      const told = receipt({
        delivery: "queued",
        tool: call.tool,
        key: asId(`naive-${messageId}`),
        messageId,
      });
      return { receipt: told, result: receiptResult(told), recordId: undefined };
    }
  };
  return {
    write,
    answered: () => {},
    seen: () => {},
    drained: async () => waiting === 0,
    notices: () => [],
    noticesAnswered: () => {},
    status: () => ({ ...rest.status(), depth: waiting }),
  };
}
