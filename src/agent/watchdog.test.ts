/** A turn that hangs is interrupted once; one that works, however long, is not. */
import { expect, test } from "bun:test";
import { VirtualClock } from "../base/clock.ts";
import type { SessionEvent } from "./session-event.ts";
import { firstStatus, nextStatus } from "./status.ts";
import { watchTurns } from "./watchdog.ts";

const limits = { turnSilenceMs: 1_000, turnWatchMs: 100 };

function start() {
  const clock = new VirtualClock(0);
  let status = firstStatus(0);
  let interrupts = 0;
  const end = watchTurns({
    status: () => status,
    async interrupt() {
      interrupts += 1;
      return true;
    },
    onHang() {},
    clock,
    limits,
  });
  const tell = (event: SessionEvent) => {
    status = nextStatus(status, event, clock.monotonic());
  };
  return { clock, tell, end, count: () => interrupts };
}

test("silence in a turn is interrupted, once until something is heard again", () => {
  const { clock, tell, count } = start();
  tell({ type: "turn-began" });
  clock.advance(999);
  expect(count()).toBe(0);
  clock.advance(10_000);
  expect(count()).toBe(1);
  tell({ type: "alive" });
  clock.advance(2_000);
  expect(count()).toBe(2);
});

test("a running tool, a waiting approval, an idle agent and an ended watch are left alone", () => {
  for (const events of [["turn-began", "tool-began"], ["approval-wanted"], ["ready"]] as const) {
    const { clock, tell, count } = start();
    for (const type of events) tell({ type, name: "Bash", what: "x" } as SessionEvent);
    clock.advance(100_000);
    expect(count()).toBe(0);
  }
  const { clock, tell, end, count } = start();
  tell({ type: "turn-began" });
  end();
  clock.advance(100_000);
  expect(count()).toBe(0);
});
