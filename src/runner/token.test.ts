/** The token keeper against a scripted relay on a clock that stands until it is told to move. */
import { expect, test } from "bun:test";
import { VirtualClock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import { seededRandom } from "../base/random.ts";
import { limits } from "../limits.ts";
import type { OperationReply } from "../wire/api.ts";
import { RelayError } from "../wire/error.ts";
import { type AgentId, asId, type RelayId } from "../wire/id.ts";
import { defaultProfile, type Scope } from "../wire/scope.ts";
import { tokenHash, tokenKind } from "../wire/token.ts";
import { credentialKeeper, type EnrolledCredential } from "./credential.ts";
import { tokenKeeper } from "./token.ts";

type Reply = OperationReply<"mintAgentToken">;
type Answer = (hash: string) => Reply | Promise<Reply>;

const start = Date.parse("2026-01-01T00:00:00Z");
const enrolled: EnrolledCredential = {
  relayUrl: "http://127.0.0.1:4850",
  relayId: asId<RelayId>("00000000-0000-7000-8000-000000000001"),
  agentId: asId<AgentId>("00000000-0000-7000-8000-000000000002"),
  agentName: "alice",
  secret: "the runner's",
};

/** A keeper with a relay that plays the answers in order, the last one for ever. */
function world(...answers: Answer[]) {
  const clock = new VirtualClock(start);
  const log: string[] = [];
  const hashes: string[] = [];
  const replaced: (string | undefined)[] = [];
  const saved: EnrolledCredential[] = [];
  const faults: { save: Error | undefined } = { save: undefined };
  const open = (credential: EnrolledCredential, seed = 1) =>
    tokenKeeper({
      credentials: credentialKeeper(credential, (changed) => {
        if (faults.save !== undefined) throw faults.save;
        log.push(changed.nextSecret === undefined ? "save" : `save ${tokenHash(changed.nextSecret)}`);
        saved.push(changed);
      }),
      async mint({ secretHash, replaces }) {
        log.push(`mint ${secretHash}`);
        replaced.push(replaces);
        const answer = answers[Math.min(hashes.length, answers.length - 1)];
        hashes.push(secretHash);
        if (answer === undefined) throw new Error("The script has no answer");
        return answer(secretHash);
      },
      onAuthorization: () => void log.push("authorization"),
      clock,
      random: seededRandom(seed),
      limits,
      log: silentLog,
    });
  const grant =
    (lifetimeMs: number = limits.agentTokenMs, scopes: Scope[] = ["message:send"]): Answer =>
    () => ({
      jti: `00000000-0000-7000-8000-${String(hashes.length).padStart(12, "0")}`,
      profile: "default",
      scopes,
      features: defaultProfile.features,
      // The relay's clock is a day behind: only the difference counts.
      relayTime: new Date(clock.now() - 86_400_000).toISOString(),
      expiresAt: new Date(clock.now() - 86_400_000 + lifetimeMs).toISOString(),
    });
  answers.push(...(answers.length === 0 ? [grant()] : []));
  return { clock, log, hashes, replaced, saved, faults, open, grant, answers };
}

const fail =
  (error: Error): Answer =>
  () =>
    Promise.reject(error);
const lost = fail(new Error("the connection was reset"));

/** Lets everything happen that can happen without the clock. */
async function settle() {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

test("P4: the next secret is on disk before the relay hears its hash, and the answer before it is told", async () => {
  const { open, log, saved, hashes } = world();
  const keeper = open(enrolled);
  expect([keeper.state(), keeper.current(), keeper.facts()]).toEqual(["stale", undefined, undefined]);
  expect(await keeper.refresh()).toBe(true);
  expect(log).toEqual([`save ${hashes[0]}`, `mint ${hashes[0]}`, "save", "authorization"]);
  const token = saved.at(-1)?.agentToken;
  expect(keeper.current()).toBe(token?.secret ?? "none");
  expect(tokenHash(token?.secret ?? "")).toBe(hashes[0] ?? "none");
  expect(tokenKind(token?.secret ?? "")).toBe("agent");
  expect(keeper.state()).toBe("fresh");
});

test("the lifetime is taken from the relay's own clock, the end is told by this machine's", async () => {
  const { open } = world();
  const keeper = open(enrolled);
  await keeper.refresh();
  expect(keeper.facts()).toEqual({
    jti: "00000000-0000-7000-8000-000000000001",
    profile: "default",
    scopes: ["message:send"],
    features: defaultProfile.features,
    expiresAt: start + limits.agentTokenMs,
  });
});

test("callers at the same time share one attempt, later ones make another", async () => {
  const { open, hashes } = world();
  const keeper = open(enrolled);
  const results = await Promise.all([keeper.refresh(), keeper.refresh(), keeper.refresh()]);
  expect(results).toEqual([true, true, true]);
  expect(hashes).toHaveLength(1);
  await keeper.refresh();
  expect(new Set(hashes).size).toBe(2);
});

test("[P4.8] each token names the one it replaces, also when it is asked for again after a crash", async () => {
  const { open, hashes, replaced, saved, answers, grant } = world();
  const keeper = open(enrolled);
  await keeper.refresh();
  answers.splice(0, 1, lost);
  await keeper.refresh();
  answers.splice(0, 1, grant());
  await open(saved.at(-1) ?? enrolled, 2).refresh();
  expect(replaced).toEqual([undefined, hashes[0], hashes[0]]);
  expect(hashes[2]).toBe(hashes[1] ?? "none");
});

test("a lost answer is asked for again with the same hash, by this keeper and by one after a crash", async () => {
  const { open, hashes, saved, answers, grant } = world(lost);
  expect(await open(enrolled).refresh()).toBe(false);
  const onDisk = saved.at(-1) ?? enrolled;
  const restarted = open(onDisk, 2);
  expect(await restarted.refresh()).toBe(false);
  answers.push(grant());
  expect(await restarted.refresh()).toBe(true);
  expect(hashes).toHaveLength(3);
  expect(new Set(hashes).size).toBe(1);
  expect(saved.at(-1)?.nextSecret).toBeUndefined();
});

test("the late answer to a secret asked for long ago is no token: another is asked for at once", async () => {
  const { open, hashes, answers, grant } = world();
  answers.splice(0, 1, grant(-1), grant());
  const keeper = open({ ...enrolled, nextSecret: "asked for before the outage" });
  expect(await keeper.refresh()).toBe(true);
  expect(hashes[0]).toBe(tokenHash("asked for before the outage"));
  expect(new Set(hashes).size).toBe(2);
  expect(keeper.state()).toBe("fresh");
});

test("a relay that only gives ended tokens is not asked for ever", async () => {
  const { open, hashes, answers, grant } = world();
  answers.splice(0, 1, grant(-1));
  expect(await open(enrolled).refresh()).toBe(false);
  expect(hashes).toHaveLength(1);
});

test("P1: it renews before the end, and nothing of it tells the agent's rights have changed", async () => {
  const { open, clock, hashes, log } = world();
  const keeper = open(enrolled);
  const ending = new AbortController();
  const running = keeper.run(ending.signal);
  await settle();
  expect(hashes).toHaveLength(1);
  const renewAt = limits.agentTokenMs - limits.agentTokenRenewBeforeMs;
  for (let passed = 0; passed < renewAt - 1_000; passed += 60_000) {
    clock.advance(Math.min(60_000, renewAt - 1_000 - passed));
    await settle();
  }
  expect(hashes).toHaveLength(1);
  clock.advance(1_001);
  await settle();
  expect(hashes).toHaveLength(2);
  expect(keeper.facts()?.expiresAt).toBe(clock.now() + limits.agentTokenMs);
  expect(log.filter((line) => line === "authorization")).toHaveLength(1);
  ending.abort();
  await running;
});

test("an old token is used until its end while the relay is away, and then is stale", async () => {
  const { open, clock, answers, grant } = world();
  answers.splice(0, 1, grant(), lost);
  const keeper = open(enrolled);
  await keeper.refresh();
  const first = keeper.current();
  expect(await keeper.refresh()).toBe(false);
  expect([keeper.state(), keeper.current()]).toEqual(["fresh", first]);
  clock.advance(limits.agentTokenMs);
  expect(await keeper.refresh()).toBe(false);
  expect(keeper.state()).toBe("stale");
});

test("after failures it tries again within the back-off, not at once and not never", async () => {
  const { open, clock, hashes, answers, grant } = world();
  answers.splice(0, 1, lost, lost, lost, grant());
  const ending = new AbortController();
  const keeper = open(enrolled);
  const running = keeper.run(ending.signal);
  await settle();
  expect(hashes).toHaveLength(1);
  for (let tries = 0; tries < 3; tries++) {
    clock.advance(limits.deliveryBackoffCapMs);
    await settle();
  }
  expect(keeper.state()).toBe("fresh");
  expect(hashes).toHaveLength(4);
  ending.abort();
  await running;
});

test.each(["token_revoked", "agent_removed", "displaced"] as const)("%s ends it for good", async (code) => {
  const { open, hashes } = world(fail(new RelayError(code, "gone")));
  const keeper = open(enrolled);
  await keeper.run(new AbortController().signal);
  expect(keeper.state()).toBe("revoked");
  expect(await keeper.refresh()).toBe(false);
  expect(hashes).toHaveLength(1);
});

test.each(["unauthorized", "unavailable", "rate_limited"] as const)("%s is no end", async (code) => {
  const { open, answers, grant } = world(fail(new RelayError(code, "not now")));
  const keeper = open(enrolled);
  expect([await keeper.refresh(), keeper.state()]).toEqual([false, "stale"]);
  answers.push(grant());
  expect([await keeper.refresh(), keeper.state()]).toEqual([true, "fresh"]);
});

test("P3: changed scopes are told once, equal ones in another order are not", async () => {
  const { open, log, answers, grant } = world();
  answers.splice(
    0,
    1,
    grant(limits.agentTokenMs, ["message:send", "message:read"]),
    grant(limits.agentTokenMs, ["message:read", "message:send"]),
    grant(limits.agentTokenMs, ["message:read"]),
  );
  const keeper = open(enrolled);
  const told = () => log.filter((line) => line === "authorization").length;
  await keeper.refresh();
  expect(told()).toBe(1);
  await keeper.refresh();
  expect(told()).toBe(1);
  await keeper.refresh();
  expect(told()).toBe(2);
});

test("P2: with a full disk nothing is asked for that could not be asked for again, and nothing is thrown", async () => {
  const { open, hashes, faults } = world();
  faults.save = new Error("ENOSPC");
  const keeper = open(enrolled);
  expect(await keeper.refresh()).toBe(false);
  expect(hashes).toEqual([]);
  faults.save = undefined;
  expect(await keeper.refresh()).toBe(true);
});

test("a token whose answer cannot be stored is used all the same", async () => {
  const { open, saved, faults, answers, grant } = world();
  answers.splice(0, 1, (hash) => {
    faults.save = new Error("ENOSPC");
    return grant()(hash);
  });
  const keeper = open(enrolled);
  expect(await keeper.refresh()).toBe(true);
  expect(keeper.current()).toBe(saved[0]?.nextSecret ?? "none");
});
