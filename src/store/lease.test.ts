/** Every combination of who holds an agent and who asks for it. */
import { expect, test } from "bun:test";
import { decideLease, type Holder, type LeaseRequest } from "./lease.ts";

const held: Holder = { place: "mill", parentId: "host 1", live: true };
const asked: LeaseRequest = { place: "barn", parentId: "host 2", takeover: false, mayTakeOver: false };
const takeover: LeaseRequest = { ...asked, takeover: true };

const cases: [string, Holder | undefined, LeaseRequest, ReturnType<typeof decideLease>][] = [
  ["nobody holds it", undefined, asked, "free"],
  ["nobody holds it, a takeover is asked for", undefined, takeover, "free"],
  ["the same machine and home", held, { ...asked, place: "mill", mayTakeOver: true }, "own"],
  ["a place that may be a guess", held, { ...asked, place: "mill" }, "name_taken"],
  [
    "a place that may be a guess, with a takeover",
    held,
    { ...takeover, place: "mill" },
    "takeover_forbidden",
  ],
  ["the same host token", held, { ...asked, parentId: "host 1" }, "own"],
  ["another one", held, asked, "name_taken"],
  ["another one, the holder shows no life", { ...held, live: false }, asked, "name_taken"],
  ["another one with more rights but without asking", held, { ...asked, mayTakeOver: true }, "name_taken"],
  ["a takeover by one who may", held, { ...takeover, mayTakeOver: true }, "takeover"],
  ["a takeover of a live one by one who may not", held, takeover, "takeover_forbidden"],
  ["a takeover of one that shows no life", { ...held, live: false }, takeover, "takeover"],
  [
    "unknown places are not the same",
    { ...held, place: undefined, parentId: undefined },
    { ...asked, place: undefined, parentId: undefined },
    "name_taken",
  ],
];

test.each(cases)("%s", (_, holder, request, decision) => {
  expect(decideLease(holder, request)).toBe(decision);
});
