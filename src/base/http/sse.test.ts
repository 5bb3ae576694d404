/** Events survive every way of cutting the bytes, and a large one is refused. */
import { expect, test } from "bun:test";
import { type SseEvent, SseTooLarge, sseEvents, sseText } from "./sse.ts";

async function* bytes(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts;
}
async function read(parts: readonly Uint8Array[], most = 1_000): Promise<SseEvent[]> {
  const events: SseEvent[] = [];
  for await (const event of sseEvents(bytes(parts), most)) events.push(event);
  return events;
}
const encode = (text: string) => new TextEncoder().encode(text);
const text = `: hello\r\n\r\nid: 1\r\nevent: message\r\ndata: grüß\r\n\r\nretry: 40\rdata:a\rdata: b\r\rdata\n\nid: cut`;
const none = { id: undefined, event: undefined, data: undefined, retryMs: undefined };
const wanted = [
  { ...none, id: "1", event: "message", data: "grüß" },
  { ...none, retryMs: 40, data: "a\nb" },
  { ...none, data: "" },
];

test("the same events whatever the chunks", async () => {
  const whole = encode(text);
  expect(await read([whole])).toEqual(wanted);
  expect(await read([...whole].map((byte) => new Uint8Array([byte])))).toEqual(wanted);
});

test("what is written is read back", async () => {
  const event = { id: "7", event: "message", data: "one\ntwo" };
  expect(await read([encode(sseText(event))])).toEqual([{ ...none, ...event }]);
});

test("an event that is too large is refused", async () => {
  const events = read([encode(`data: ${"x".repeat(900)}`), encode("x".repeat(200))]);
  await expect(events).rejects.toBeInstanceOf(SseTooLarge);
});
