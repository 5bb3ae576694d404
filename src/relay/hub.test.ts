/** Who is told what, and when presence is written down. */
import { expect, test } from "bun:test";
import { VirtualClock } from "../base/clock.ts";
import { limits } from "../limits.ts";
import { type AgentId, asId } from "../wire/id.ts";
import { createHub, type HintSubject } from "./hub.ts";

function world() {
  const clock = new VirtualClock(0);
  const seen: AgentId[] = [];
  const hub = createHub({ clock, seen: (agent) => seen.push(agent) });
  const join = (name: string) => {
    const hints: HintSubject[] = [];
    const leave = hub.join(asId<AgentId>(name), { wake() {}, hint: (subject) => hints.push(subject) });
    return { hints, leave };
  };
  return { clock, hub, seen, join };
}

test("many changes are one hint to everybody; what agents do has a hint of its own", () => {
  const { clock, hub, join } = world();
  const [ann, bob] = [join("ann"), join("bob")];
  clock.advance(limits.presenceHintMs);
  expect([ann.hints, bob.hints]).toEqual([["agents"], ["agents"]]);
  for (let i = 0; i < 100; i++) hub.presenceChanged();
  hub.agentsChanged();
  expect(ann.hints).toEqual(["agents"]);
  clock.advance(limits.presenceHintMs);
  expect(ann.hints).toEqual(["agents", "presence", "agents"]);
  hub.presenceChanged();
  hub.close();
  clock.advance(limits.presenceHintMs);
  expect(bob.hints).toHaveLength(3);
});

test("agents that stay are written down once a minute, each in its own second", () => {
  const { clock, seen, join } = world();
  for (let i = 0; i < 60; i++) {
    join(`agent-${i}`);
    clock.advance(1_000);
  }
  seen.length = 0;
  const most: number[] = [];
  for (let second = 0; second < 60; second++) {
    const before = seen.length;
    clock.advance(1_000);
    most.push(seen.length - before);
  }
  expect(new Set(seen).size).toBe(60);
  expect(Math.max(...most)).toBeLessThanOrEqual(2);
});

test("one with two feeds is there until both have ended, and not written down after that", () => {
  const { clock, hub, seen, join } = world();
  const [first, second] = [join("ann"), join("ann")];
  expect(seen).toHaveLength(1);
  first.leave();
  first.leave();
  expect(hub.isOnline(asId<AgentId>("ann"))).toBe(true);
  second.leave();
  expect([hub.online(), seen.length]).toEqual([[], 2]);
  clock.advance(5 * limits.presenceMs);
  expect(seen).toHaveLength(2);
});
