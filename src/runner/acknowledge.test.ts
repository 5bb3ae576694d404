/** What the agent has seen reaches the relay: one request at a time, the highest seq, again after a failure. */
import { expect, test } from "bun:test";
import { silentLog } from "../base/log.ts";
import { acknowledger } from "./acknowledge.ts";

/** A relay that answers when it is told to. */
function scriptedRelay() {
  const sent: number[] = [];
  const open: { resolve(): void; reject(error: Error): void }[] = [];
  const acknowledge = acknowledger((seq) => {
    sent.push(seq);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    open.push({ resolve: () => resolve(), reject });
    return promise;
  }, silentLog);
  const turn = async (act: "resolve" | "reject") => {
    open.shift()?.[act](new Error("down"));
    for (let i = 0; i < 5; i++) await Promise.resolve();
  };
  return { sent, acknowledge, turn };
}

test("of what is seen while a request is under way only the highest is sent", async () => {
  const { sent, acknowledge, turn } = scriptedRelay();
  for (const seq of [3, 5, 4]) acknowledge.seen(seq);
  expect(sent).toEqual([3]);
  await turn("resolve");
  expect(sent).toEqual([3, 5]);
  await turn("resolve");
  acknowledge.seen(5);
  acknowledge.seen(2);
  expect(sent).toEqual([3, 5]);
});

test("a failed one waits for the relay and is then sent again, with what came meanwhile", async () => {
  const { sent, acknowledge, turn } = scriptedRelay();
  acknowledge.seen(3);
  await turn("reject");
  expect(sent).toEqual([3]);
  acknowledge.retry();
  expect(sent).toEqual([3, 3]);
  acknowledge.seen(7);
  await turn("reject");
  acknowledge.retry();
  await turn("resolve");
  expect(sent).toEqual([3, 3, 7]);
  acknowledge.retry();
  expect(sent).toEqual([3, 3, 7]);
});

test("a relay that comes back with nothing to tell it is asked nothing", () => {
  const { sent, acknowledge } = scriptedRelay();
  acknowledge.retry();
  expect(sent).toEqual([]);
});
