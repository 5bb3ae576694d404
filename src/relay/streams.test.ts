/** When open streams end, on a clock that stands until it is told to move. */
import { expect, test } from "bun:test";
import { VirtualClock } from "../base/clock.ts";
import { limits } from "../limits.ts";
import { asId, type TokenId } from "../wire/id.ts";
import { defaultProfile } from "../wire/scope.ts";
import type { Principal } from "./access.ts";
import { createStreams } from "./streams.ts";

const start = 1_800_000_000_000;
const tokenId = asId<TokenId>("00000000-0000-7000-8000-000000000001");
const principal: Principal = {
  kind: "runner",
  tokenId,
  agentId: undefined,
  agentName: undefined,
  scopes: [],
  grants: undefined,
  agentScopes: [],
  displaced: false,
  profile: undefined,
  features: defaultProfile.features,
  expiresAt: undefined,
  secretHash: "one",
};

/** Streams by name, and the names of those that have ended. */
function world() {
  const clock = new VirtualClock(start);
  const streams = createStreams(clock);
  const ended: string[] = [];
  const open = (name: string, over: Partial<Principal> = {}) => {
    const leave = streams.open({ ...principal, ...over }, () => {
      ended.push(name);
      leave?.();
    });
    return leave;
  };
  return { clock, streams, ended, open };
}

test("a stream ends with its token, also when that is months away", () => {
  const { clock, ended, open } = world();
  open("month", { expiresAt: start + limits.runnerTokenMs });
  open("hour", { expiresAt: start + limits.agentTokenMs });
  clock.advance(limits.agentTokenMs - 1);
  expect(ended).toEqual([]);
  clock.advance(1);
  expect(ended).toEqual(["hour"]);
  for (let passed = limits.agentTokenMs; passed < limits.runnerTokenMs; passed += limits.timerStepMs) {
    clock.advance(limits.timerStepMs);
  }
  expect(ended).toEqual(["hour", "month"]);
});

test("P4: [P4.7] a revocation ends every stream of the token at once, and none of another", () => {
  const { streams, ended, open } = world();
  open("a");
  open("b", { secretHash: "two" });
  open("other", { tokenId: asId<TokenId>("00000000-0000-7000-8000-000000000002") });
  streams.revoke([tokenId]);
  expect(ended).toEqual(["a", "b"]);
  expect(streams.count).toBe(1);
});

test("P1: [P1.6] a swapped secret's streams go on for the overlap; those of its successor are not touched", () => {
  const { clock, streams, ended, open } = world();
  open("old");
  open("new", { secretHash: "two" });
  streams.endAt([tokenId], start + limits.tokenOverlapMs, "one");
  clock.advance(limits.tokenOverlapMs - 1);
  expect(ended).toEqual([]);
  clock.advance(1);
  expect(ended).toEqual(["old"]);
});

test("a stream that has ended by itself is not ended again", () => {
  const { clock, streams, ended, open } = world();
  const leave = open("a", { expiresAt: start + 5 });
  streams.endAt([tokenId], start + 3);
  leave?.();
  leave?.();
  clock.advance(10);
  expect([ended, streams.count]).toEqual([[], 0]);
});

test("a token has so many streams and no more; closing refuses later ones", () => {
  const { streams, open } = world();
  const opened = Array.from({ length: limits.feedStreamsPerPrincipalMax }, (_, n) => open(`${n}`));
  expect(opened.every((leave) => leave !== undefined)).toBe(true);
  expect(open("too many")).toBeUndefined();
  streams.close();
  expect([streams.count, open("late")]).toEqual([0, undefined]);
});
