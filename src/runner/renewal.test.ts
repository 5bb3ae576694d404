/** The runner's own token against a scripted relay on a clock that stands until it is told to move. */
import { describe, expect, test } from "bun:test";
import { VirtualClock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import { seededRandom } from "../base/random.ts";
import { limits } from "../limits.ts";
import type { OperationReply, OperationRequest } from "../wire/api.ts";
import { RelayError } from "../wire/error.ts";
import { type AgentId, asId, type RelayId } from "../wire/id.ts";
import { tokenHash, tokenKind } from "../wire/token.ts";
import { credentialKeeper, type EnrolledCredential } from "./credential.ts";
import { keepRunnerToken, recoverRunnerToken, renewRunnerToken } from "./renewal.ts";

type Request = OperationRequest<"renewToken">;
type Answer = () => OperationReply<"renewToken"> | Promise<never>;

const start = Date.parse("2026-01-01T00:00:00Z");
const enrolled: EnrolledCredential = {
  relayUrl: "http://127.0.0.1:4850",
  relayId: asId<RelayId>("00000000-0000-7000-8000-000000000001"),
  agentId: asId<AgentId>("00000000-0000-7000-8000-000000000002"),
  agentName: "alice",
  secret: "first",
  renewedAt: start,
};

const granted: Answer = () => ({
  tokenId: "00000000-0000-7000-8000-000000000003",
  relayTime: new Date(start - 86_400_000).toISOString(),
  expiresAt: new Date(start - 86_400_000 + limits.runnerTokenMs).toISOString(),
});
const lost: Answer = () => Promise.reject(new Error("the connection was reset"));

/** A relay that plays the answers in order, the last one for ever. */
function world(credential: EnrolledCredential, ...answers: Answer[]) {
  const clock = new VirtualClock(start);
  const log: string[] = [];
  const asked: Request[] = [];
  const saved: EnrolledCredential[] = [];
  const faults: { save: Error | undefined } = { save: undefined };
  const credentials = credentialKeeper(credential, (changed) => {
    if (faults.save !== undefined) throw faults.save;
    log.push(`save ${changed.secret === credential.secret ? "the same" : "another"}`);
    saved.push(changed);
  });
  const options = {
    credentials,
    async renew(request: Request) {
      log.push("ask");
      const answer = answers[Math.min(asked.length, answers.length - 1)] ?? lost;
      asked.push(request);
      return answer();
    },
    clock,
    random: seededRandom(1),
    limits,
    log: silentLog,
  };
  return { clock, log, asked, saved, faults, credentials, options };
}

async function settle() {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

test("P4: the successor is on disk before the relay hears its hash, and used only after the answer", async () => {
  const { options, log, asked, saved, credentials } = world(enrolled, granted);
  expect(await renewRunnerToken(options)).toBe("renewed");
  expect(log).toEqual(["save the same", "ask", "save another"]);
  const { secret, successor, renewedAt, expiresAt } = credentials.current();
  expect(asked).toEqual([{ secret: "first", successorHash: tokenHash(secret) }]);
  expect([tokenKind(secret), successor, renewedAt]).toEqual(["runner", undefined, start]);
  expect(expiresAt).toBe(start + limits.runnerTokenMs);
  expect(saved.at(-1)).toEqual(credentials.current());
});

test("[P4.8] a lost answer is asked for again with the same two secrets, also after a crash", async () => {
  const first = world(enrolled, lost);
  expect(await renewRunnerToken(first.options)).toBe("failed");
  expect(first.credentials.current().secret).toBe("first");
  const later = world(first.saved.at(-1) ?? enrolled, granted);
  expect(await renewRunnerToken(later.options)).toBe("renewed");
  expect(later.asked).toEqual(first.asked);
});

test("with a full disk nothing is asked for, and an answer that cannot be stored holds all the same", async () => {
  const full = world(enrolled, granted);
  full.faults.save = new Error("ENOSPC");
  expect([await renewRunnerToken(full.options), full.asked.length]).toEqual(["failed", 0]);
  const late = world({ ...enrolled, successor: "next" }, granted);
  late.faults.save = new Error("ENOSPC");
  expect(await renewRunnerToken(late.options)).toBe("renewed");
  expect(late.credentials.current().secret).toBe("next");
});

test("it renews once a day, at once when a swap is pending, and tries again after failures", async () => {
  const { options, clock, asked } = world({ ...enrolled, successor: "next" }, lost, granted);
  const ending = new AbortController();
  const running = keepRunnerToken(options, ending.signal);
  await settle();
  expect(asked).toHaveLength(1);
  clock.advance(limits.deliveryBackoffCapMs);
  await settle();
  expect(asked).toHaveLength(2);
  const step = limits.agentTokenRenewBeforeMs;
  for (let passed = step; passed < limits.runnerTokenRenewMs; passed += step) {
    clock.advance(step);
    await settle();
  }
  expect(asked).toHaveLength(2);
  clock.advance(step);
  await settle();
  expect(asked).toHaveLength(3);
  ending.abort();
  await running;
});

test.each(["token_revoked", "agent_removed"] as const)("%s ends it for good", async (code) => {
  const { options, asked } = world({ ...enrolled, renewedAt: 0 }, () =>
    Promise.reject(new RelayError(code, "gone")),
  );
  await keepRunnerToken(options, new AbortController().signal);
  expect(asked).toHaveLength(1);
});

test("the secrets before are kept, the newest first and so many", async () => {
  const { options, credentials } = world(enrolled, granted);
  const secrets: string[] = [];
  for (let n = 0; n < limits.earlierSecretsMax + 2; n++) {
    secrets.unshift(credentials.current().secret);
    await renewRunnerToken(options);
  }
  expect(credentials.current().earlier).toEqual(secrets.slice(0, limits.earlierSecretsMax));
});

describe("a relay that was restored", () => {
  /** Knows one secret, swaps as the relay does, and refuses every other. */
  function restored(known: string, held: EnrolledCredential) {
    const state = { known: tokenHash(known), asked: 0 };
    const { options } = world(held);
    const renew = async ({ secret, successorHash }: Request) => {
      state.asked += 1;
      if (tokenHash(secret) !== state.known) throw new RelayError("unauthorized", "unknown");
      state.known = successorHash;
      return granted() as OperationReply<"renewToken">;
    };
    return { state, options: { ...options, renew } };
  }
  const held = { ...enrolled, secret: "e", earlier: ["d", "c", "b", "a"] };

  test.each(["a", "b", "c", "d"])("knows the secret %p and is led to the one of now", async (known) => {
    const { state, options } = restored(known, held);
    expect(await recoverRunnerToken(options)).toBe(true);
    expect(state.known).toBe(tokenHash("e"));
  });

  test("knows none of them: nothing is changed", async () => {
    const { state, options } = restored("x", held);
    expect([await recoverRunnerToken(options), state.asked]).toEqual([false, 4]);
  });

  test("fails in the middle: that is told, and nothing is thrown", async () => {
    const { options } = world(held, lost);
    expect(await recoverRunnerToken(options)).toBe(false);
  });
});
