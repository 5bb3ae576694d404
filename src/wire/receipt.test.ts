/** The words of the five outcomes, pinned: agents and people learn these sentences. */
import { describe, expect, test } from "bun:test";
import { asId, type IdempotencyKey, type MessageId } from "./id.ts";
import { deliveries, deliveryNotes, isFailure, receipt, receiptResult, receiptSchema } from "./receipt.ts";

const facts = {
  tool: "relay_send_message",
  key: asId<IdempotencyKey>("k-1"),
  messageId: asId<MessageId>("00000000-0000-7000-8000-000000000001"),
};

describe("P5: [P5.1] the wording", () => {
  test("of each outcome is this one", () => {
    expect(deliveryNotes).toEqual({
      sent: "Stored by the relay.",
      queued:
        "Stored on this machine; the relay has not taken it yet. It will be delivered in order. Do not send it again. " +
        "If it is refused later, a notice will say so.",
      refused: "Not stored, not sent, and will not be sent.",
      rejected: "The relay refused it permanently; it has no effect.",
      unknown: "It may or may not have taken effect. Check before doing it again.",
    });
  });

  test.each([...deliveries])(
    "of %s stands first in what the model reads, and in no other outcome's",
    (delivery) => {
      const texts = deliveries.map((one) =>
        JSON.stringify(receiptResult(receipt({ ...facts, delivery: one })).content),
      );
      const marks = `${delivery}: ${deliveryNotes[delivery]}`;
      expect(texts.filter((text) => text.includes(marks))).toEqual([
        texts[deliveries.indexOf(delivery)] ?? "",
      ]);
      expect(receiptResult(receipt({ ...facts, delivery })).content).toEqual([
        { type: "text", text: `${marks} · message ${facts.messageId}` },
      ]);
    },
  );

  test("of what else is known follows it", () => {
    const result = receiptResult(
      receipt({
        ...facts,
        delivery: "rejected",
        lanePosition: 3,
        reason: "forbidden: no scope",
        replayed: true,
      }),
    );
    expect(result.content).toEqual([
      {
        type: "text",
        text:
          `rejected: The relay refused it permanently; it has no effect. · message ${facts.messageId}` +
          " · position 3 in the queue · reason: forbidden: no scope" +
          " · this call was answered before; it was not done twice",
      },
    ]);
  });
});

test("P5: what is not stored for good is a failed call; every receipt fits its schema", () => {
  const results = deliveries.map((delivery) => receiptResult(receipt({ ...facts, delivery })));
  expect(results.map(({ isError }) => isError)).toEqual([false, false, true, true, true]);
  expect(deliveries.filter(isFailure)).toEqual(["refused", "rejected", "unknown"]);
  const parsed = results.map(({ structuredContent }) => receiptSchema.parse(structuredContent));
  expect(parsed.map(({ delivery, queued }) => [delivery, queued])).toEqual([
    ["sent", false],
    ["queued", true],
    ["refused", false],
    ["rejected", false],
    ["unknown", false],
  ]);
});

test("a member without a value is not there", () => {
  const made = receipt({ ...facts, delivery: "sent", reason: undefined, threadId: undefined });
  expect(Object.keys(made).sort()).toEqual([
    "delivery",
    "idempotencyKey",
    "messageId",
    "note",
    "queued",
    "tool",
  ]);
});
