/** Who is refused by nobody tries again; who is refused by a living owner does not. */
import { expect, test } from "bun:test";
import { waitingClock } from "../base/clock.ts";
import { seededRandom } from "../base/random.ts";
import { claim } from "./claim.ts";
import { OutboxOwnedError } from "./store.ts";

const options = {
  clock: waitingClock,
  random: seededRandom(1),
  limits: { outboxClaims: 5, outboxClaimPauseMs: 2 },
};

/** An opening that is refused so many times first. */
function refusedBy(pid: number | undefined, times: number) {
  const tried = { count: 0 };
  const open = async () => {
    tried.count += 1;
    if (tried.count <= times) throw new OutboxOwnedError("/x", { pid, startedAt: undefined });
    return "open";
  };
  return { tried, open };
}

/** Above the largest process id of Linux and macOS. */
const noProcess = 2 ** 30;

test("P2: [P2.14] refused by nobody, or by an owner that is gone: it is tried again until it opens", async () => {
  for (const pid of [undefined, noProcess]) {
    const { tried, open } = refusedBy(pid, 3);
    expect(await claim(open, options)).toBe("open");
    expect(tried.count).toBe(4);
  }
});

test("a living owner is named at once", async () => {
  const { tried, open } = refusedBy(process.pid, 3);
  await expect(claim(open, options)).rejects.toMatchObject({ pid: process.pid });
  expect(tried.count).toBe(1);
});

test("a lock that stays is given up, and other errors pass", async () => {
  const { tried, open } = refusedBy(undefined, 100);
  await expect(claim(open, options)).rejects.toBeInstanceOf(OutboxOwnedError);
  expect(tried.count).toBe(5);
  const broken = async () => Promise.reject(new Error("broken"));
  await expect(claim(broken, options)).rejects.toThrow("broken");
});
