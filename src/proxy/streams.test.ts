/** Streams to agents: bounded for a slow reader, kept alive, and remembered for resumption. */
import { expect, test } from "bun:test";
import { testAsker } from "../../test/fixtures/upstreams/asker.ts";
import { VirtualClock } from "../base/clock.ts";
import { limits } from "../limits.ts";
import { EventRing, messageEvent, openStream } from "./streams.ts";

const small = { ...limits, streamKeepaliveMs: 100 };

test("a reader that does not read has its stream closed", () => {
  const asker = testAsker(1_000);
  const stream = openStream({ clock: new VirtualClock(0), limits: small }, asker);
  let ended = 0;
  stream.onEnd(() => {
    ended += 1;
  });
  const written = Array.from({ length: 50 }, () => stream.write(messageEvent("x".repeat(100))));
  expect(written.indexOf(false)).toBe(8);
  expect({ closed: stream.closed, ended }).toEqual({ closed: true, ended: 1 });
});

test("keepalives come after silence only, and end with the stream", () => {
  const clock = new VirtualClock(0);
  const asker = testAsker();
  const stream = openStream({ clock, limits: small }, asker);
  clock.advance(90);
  stream.write(messageEvent("{}"));
  clock.advance(90);
  clock.advance(20);
  stream.close();
  clock.advance(1_000);
  expect(asker.text()).toBe(": \n\nevent: message\ndata: {}\n\n: \n\n");
});

test("a ring gives what followed an id of its own run, and nothing for any other", () => {
  const ring = new EventRing("boot", 3);
  const start = ring.position;
  const ids = ["a", "b", "c", "d"].map((data) => ring.add(data));
  expect(ring.after(ids[1] ?? "")).toEqual([
    { id: ids[2] ?? "", data: "c" },
    { id: ids[3] ?? "", data: "d" },
  ]);
  expect(ring.after(ids[3] ?? "")).toEqual([]);
  expect(ring.after(ids[0] ?? "")?.length).toBe(3);
  for (const lost of [start, "other:1", "boot:9", "boot:x", ""]) expect(ring.after(lost)).toBeUndefined();
});
