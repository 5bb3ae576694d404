/** What the agent does is told at every change and as a heartbeat, the newest state only. */
import { expect, test } from "bun:test";
import { VirtualClock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import { presenceReporter } from "./status.ts";

function start(fails: () => boolean = () => false) {
  const clock = new VirtualClock(0);
  const told: string[] = [];
  const presence = presenceReporter({
    async report(state) {
      if (fails()) throw new Error("down");
      told.push(state);
    },
    heartbeatMs: 60_000,
    clock,
    log: silentLog,
  });
  const settle = async () => {
    for (let n = 0; n < 10; n++) await Promise.resolve();
  };
  return { clock, told, presence, settle };
}

test("each change once, in between only the newest, and again as a heartbeat", async () => {
  const { clock, told, presence, settle } = start();
  presence.is("starting");
  for (const state of ["idle", "busy", "busy"] as const) presence.is(state);
  await settle();
  expect(told).toEqual(["starting", "busy"]);
  clock.advance(60_000);
  await settle();
  clock.advance(60_000);
  await settle();
  expect(told).toEqual(["starting", "busy", "busy", "busy"]);
});

test("what failed is told when the relay is back; nothing after the end, nothing when nothing is known", async () => {
  let down = true;
  const { clock, told, presence, settle } = start(() => down);
  presence.is("idle");
  await settle();
  down = false;
  presence.retry();
  await settle();
  expect(told).toEqual(["idle"]);
  presence.is(undefined);
  clock.advance(60_000);
  await settle();
  presence.close();
  clock.advance(600_000);
  presence.is("busy");
  await settle();
  expect(told).toEqual(["idle"]);
});
