/** Profiles, hosts, renewals and removals through the API of a real relay. */
import { describe, expect, test } from "bun:test";
import { type RunningRelay, runningRelay } from "../../test/fixtures/running-relay.ts";
import { realRandom } from "../base/random.ts";
import { limits } from "../limits.ts";
import type { Client } from "../sdk/client.ts";
import { defaultProfile } from "../wire/scope.ts";
import { tokenHash, tokenText } from "../wire/token.ts";

const secret = (kind: "operator" | "host" | "runner" | "agent") => tokenText(kind, realRandom.bytes(32));

async function auditKinds(relay: RunningRelay): Promise<string[]> {
  return (await relay.operator.listAudit({})).entries.map(({ kind }) => kind);
}

describe("profiles", () => {
  test("what is given of a profile changes, the rest stays; equal ones change nothing", async () => {
    await using relay = await runningRelay();
    const made = await relay.operator.setProfile({
      name: "quiet",
      scopes: ["agent:read", "message:read", "message:read"],
      features: { hooks: false },
      limits: { burst: 5 },
    });
    expect(made).toMatchObject({
      scopes: ["message:read", "agent:read"],
      features: { ...defaultProfile.features, hooks: false },
      limits: { ...defaultProfile.limits, burst: 5 },
      builtIn: false,
      agents: 0,
    });
    const changed = await relay.operator.setProfile({ name: "quiet", limits: { hopsMax: 0 } });
    expect(changed).toMatchObject({ scopes: made.scopes, limits: { burst: 5, hopsMax: 0 } });
    const before = (await auditKinds(relay)).length;
    expect(await relay.operator.setProfile({ name: "quiet" })).toEqual(changed);
    expect((await auditKinds(relay)).length).toBe(before);
    expect(await relay.operator.getProfile({ name: "quiet" })).toEqual(changed);
    expect((await relay.operator.listProfiles({})).profiles.map(({ name }) => name)).toEqual([
      "default",
      "quiet",
    ]);
  });

  test("P3: [P3.8] a profile holds nothing that no agent may hold, and only people change it", async () => {
    await using relay = await runningRelay();
    const { token } = await relay.enrol("alice");
    const wide = { name: "root", scopes: ["token:admin"] } as never;
    await expect(relay.operator.setProfile(wide)).rejects.toMatchObject({ code: "bad_request" });
    await expect(relay.operator.setProfile({ name: "operator" })).rejects.toMatchObject({
      code: "bad_request",
    });
    await expect(relay.client(token).setProfile({ name: "default" })).rejects.toMatchObject({
      code: "forbidden",
    });
    expect((await relay.client(token).listProfiles({})).profiles).toHaveLength(1);
  });

  test("one that an agent has, the built-in one and an unknown one are not removed", async () => {
    await using relay = await runningRelay();
    await relay.enrol("alice");
    await relay.operator.setProfile({ name: "quiet" });
    await relay.operator.assignProfile({ agent: "alice", profile: "quiet" });
    const remove = (name: string) => relay.operator.removeProfile({ name });
    await expect(remove("quiet")).rejects.toMatchObject({ code: "profile_in_use", status: 409 });
    await expect(remove("default")).rejects.toMatchObject({ code: "profile_in_use" });
    await expect(remove("none")).rejects.toMatchObject({ code: "not_found" });
    await relay.operator.assignProfile({ agent: "alice", profile: "default" });
    expect(await remove("quiet")).toMatchObject({ name: "quiet" });
    await expect(relay.operator.getProfile({ name: "quiet" })).rejects.toMatchObject({ code: "not_found" });
    const nobody = { agent: "eve", profile: "default" };
    await expect(relay.operator.assignProfile(nobody)).rejects.toMatchObject({ code: "not_found" });
  });

  test("P3: [P3.9] less scopes hold at once for the tokens there are; more only for the next ones", async () => {
    await using relay = await runningRelay();
    const alice = await relay.enrol("alice");
    const send = (token: string) =>
      relay
        .client(token)
        .sendMessage({ to: "operator", body: "hi" })
        .then(
          () => "sent",
          (error: { code: string }) => error.code,
        );
    expect(await send(alice.token)).toBe("sent");
    await relay.operator.setProfile({ name: "quiet", scopes: ["message:read", "command:spawn"] });
    await relay.operator.assignProfile({ agent: "alice", profile: "quiet" });
    expect(await send(alice.token)).toBe("forbidden");
    await relay.operator.setProfile({ name: "quiet", scopes: ["message:send"], features: { hooks: false } });
    expect(await send(alice.token)).toBe("sent");
    const minted = await alice.runner.mintAgentToken({ secretHash: tokenHash(secret("agent")) });
    expect(minted).toMatchObject({ profile: "quiet", scopes: ["message:send"], features: { hooks: false } });
  });
});

describe("hosts", () => {
  async function hostOf(relay: RunningRelay, more: object = {}) {
    const text = secret("host");
    const token = await relay.operator.createToken({
      kind: "host",
      note: "h",
      secretHash: tokenHash(text),
      ...more,
    });
    const runnerToken = secret("runner");
    const enrol = (over: object = {}) =>
      relay.client(text).enrolRunner({
        agentName: "alice",
        provider: "exec",
        machine: "barn",
        secretHash: tokenHash(runnerToken),
        ...over,
      });
    return { token, text, enrol, runner: relay.client(runnerToken) };
  }

  test("P3: [P3.8] what a host enrols holds the host's grants at most, whatever the profile says", async () => {
    await using relay = await runningRelay();
    await relay.operator.setProfile({
      name: "boss",
      scopes: ["message:send", "message:read", "command:spawn"],
    });
    const { token, enrol, runner } = await hostOf(relay);
    expect(token.grants).toEqual([...defaultProfile.scopes]);
    expect(await enrol({ profile: "boss" })).toMatchObject({ agentScopes: ["message:send", "message:read"] });
    const { scopes } = await runner.mintAgentToken({ secretHash: tokenHash(secret("agent")) });
    expect(scopes).toEqual(["message:send", "message:read"]);
    const narrow = await hostOf(relay, { grants: ["message:read"] });
    const reply = await narrow.enrol({ agentName: "bob", profile: "boss" });
    expect(reply.agentScopes).toEqual(["message:read"]);
  });

  test("P4: [P4.7] a host's end is its runners' end: by time and by revocation", async () => {
    await using relay = await runningRelay();
    const { token, enrol, runner } = await hostOf(relay, { ttlSeconds: 3_600 });
    const { expiresAt } = await enrol();
    expect(expiresAt).toBe(token.expiresAt);
    await runner.listAgents({});
    await relay.operator.revokeToken({ id: token.id });
    await expect(runner.listAgents({})).rejects.toMatchObject({ code: "token_revoked" });
  });

  test("[P4.9] a host takes back what it enrolled, and from others only what shows no life", async () => {
    await using relay = await runningRelay();
    const { enrol } = await hostOf(relay);
    await enrol();
    expect(await enrol({ secretHash: tokenHash(secret("runner")) })).toMatchObject({ leaseEpoch: 2 });
    await relay.enrol("bob");
    const force = { agentName: "bob", takeover: true, secretHash: tokenHash(secret("runner")) };
    await expect(enrol(force)).rejects.toMatchObject({ code: "forbidden", data: { wanted: "agent:admin" } });
    relay.clock.skip(limits.leaseMs);
    expect(await enrol(force)).toMatchObject({ leaseEpoch: 2 });
    const { entries } = await relay.operator.listAudit({ kind: "lease_taken_over" });
    expect(entries).toMatchObject([{ actor: "host", subject: "bob", facts: { live: false } }]);
  });
});

test("[P4.9] an operator's own machine takes its agent back without asking, and it is written down", async () => {
  await using relay = await runningRelay();
  const enrol = (place: string) =>
    relay.operator.enrolRunner({
      agentName: "alice",
      provider: "exec",
      machine: "mill",
      place: tokenHash(place),
      secretHash: tokenHash(secret("runner")),
    });
  const first = await enrol("home");
  await expect(enrol("another home")).rejects.toMatchObject({ code: "name_taken", data: { live: true } });
  expect(await enrol("home")).toMatchObject({ agentId: first.agentId, leaseEpoch: 2 });
  const { entries } = await relay.operator.listAudit({ kind: "runner_enrolled" });
  expect(entries.map(({ facts }) => facts.displaced)).toEqual([first.tokenId, undefined]);
  expect((await relay.operator.listAudit({ kind: "lease_taken_over" })).entries).toEqual([]);
});

describe("renewals", () => {
  test("P1: [P1.6] both secrets are good for the overlap, then only the new one", async () => {
    await using relay = await runningRelay();
    const { runnerToken } = await relay.enrol("alice");
    const next = secret("runner");
    const swap = { secret: runnerToken, successorHash: tokenHash(next) };
    const first = await relay.operator.renewToken(swap);
    const again = await relay.client(undefined).renewToken(swap);
    expect(again).toEqual({ ...first, relayTime: again.relayTime });
    expect(Date.parse(first.expiresAt ?? "") - Date.parse(first.relayTime)).toBe(limits.runnerTokenMs);
    for (const text of [runnerToken, next]) await relay.client(text).listAgents({});
    relay.clock.skip(limits.tokenOverlapMs);
    await relay.client(next).listAgents({});
    await expect(relay.client(runnerToken).listAgents({})).rejects.toMatchObject({
      code: "unauthorized",
      message:
        "Authenticate: no token that this relay knows was given, 'Authorization: Bearer arl_…' was wanted",
    });
    expect((await auditKinds(relay)).filter((kind) => kind === "token_renewed")).toHaveLength(1);
  });

  test("P4: [P4.8] a copy of a runner's file gives itself away, and nothing of it works any more", async () => {
    await using relay = await runningRelay();
    const alice = await relay.enrol("alice");
    const renew = (text: string) =>
      relay.operator.renewToken({ secret: alice.runnerToken, successorHash: tokenHash(text) });
    const thief = secret("runner");
    await renew(thief);
    relay.clock.skip(limits.tokenOverlapMs * 2);
    await expect(renew(secret("runner"))).rejects.toMatchObject({ code: "token_revoked" });
    for (const text of [thief, alice.token]) {
      await expect(relay.client(text).listAgents({})).rejects.toMatchObject({ code: "token_revoked" });
    }
    expect(await auditKinds(relay)).toContain("token_reused");
  });

  test("P4: [P4.8] so does a runtime token that was replaced twice", async () => {
    await using relay = await runningRelay();
    const alice = await relay.enrol("alice");
    const mint = () =>
      alice.runner.mintAgentToken({
        secretHash: tokenHash(secret("agent")),
        replaces: tokenHash(alice.token),
      });
    await mint();
    await expect(mint()).rejects.toMatchObject({ code: "token_revoked" });
    await expect(alice.runner.listAgents({})).rejects.toMatchObject({ code: "token_revoked" });
  });

  test("unknown, badly formed, expired and agents' secrets are refused alike", async () => {
    await using relay = await runningRelay();
    const alice = await relay.enrol("alice");
    const short = secret("operator");
    const facts = { kind: "operator" as const, note: "", secretHash: tokenHash(short), ttlSeconds: 60 };
    await relay.operator.createToken(facts);
    relay.clock.skip(60_000);
    const refusals = [secret("runner"), "x", short, alice.token].map((text) =>
      relay.operator
        .renewToken({ secret: text, successorHash: tokenHash(secret("runner")) })
        .catch((error: Error) => error.message),
    );
    expect(new Set(await Promise.all(refusals))).toEqual(
      new Set(["Renew a token: this relay does not know the token"]),
    );
  });

  test("P3: [P3.8] a runner lives on with each renewal, as long as its host does and while it holds its agent", async () => {
    await using relay = await runningRelay();
    const day = 86_400_000;
    const host = secret("host");
    const note = { kind: "host" as const, note: "", secretHash: tokenHash(host) };
    const { expiresAt } = await relay.operator.createToken({ ...note, ttlSeconds: (40 * day) / 1_000 });
    const renew = async (text: string) => {
      const next = secret("runner");
      const reply = await relay.operator.renewToken({ secret: text, successorHash: tokenHash(next) });
      return { next, end: Date.parse(reply.expiresAt ?? ""), at: Date.parse(reply.relayTime) };
    };
    const hosted = secret("runner");
    const facts = { agentName: "bob", provider: "exec", machine: "barn", secretHash: tokenHash(hosted) };
    await relay.client(host).enrolRunner(facts);
    relay.clock.skip(5 * day);
    const first = await renew(hosted);
    expect(first.end - first.at).toBe(limits.runnerTokenMs);
    relay.clock.skip(10 * day);
    expect((await renew(first.next)).end).toBe(Date.parse(expiresAt ?? ""));
    const alice = await relay.enrol("alice");
    const other = { agentName: "alice", provider: "exec", machine: "barn", takeover: true };
    await relay.operator.enrolRunner({ ...other, secretHash: tokenHash(secret("runner")) });
    const displaced = await renew(alice.runnerToken);
    expect(displaced.end - displaced.at).toBeLessThanOrEqual(limits.recordAgeMaxMs);
  });

  test("P3: [P3.8] a token with an end of its own keeps it", async () => {
    await using relay = await runningRelay();
    const [old, next] = [secret("host"), secret("host")];
    const facts = { kind: "host" as const, note: "", secretHash: tokenHash(old), ttlSeconds: 600 };
    const { expiresAt } = await relay.operator.createToken(facts);
    const renewed = await relay.operator.renewToken({ secret: old, successorHash: tokenHash(next) });
    expect(renewed.expiresAt).toBe(expiresAt);
  });
});

test("a removed agent's tokens say so, its name is free, and the operator stays", async () => {
  await using relay = await runningRelay();
  const alice = await relay.enrol("alice");
  const removed = await relay.operator.removeAgent({ agent: "alice" });
  expect(removed).toMatchObject({ id: alice.id, name: "alice" });
  for (const client of [alice.runner, relay.client(alice.token)]) {
    await expect(client.listAgents({})).rejects.toMatchObject({ code: "agent_removed", status: 410 });
  }
  await expect(relay.operator.removeAgent({ agent: "operator" })).rejects.toMatchObject({
    code: "not_found",
  });
  const next = await relay.enrol("alice");
  expect(next.id).not.toBe(alice.id);
  expect((await auditKinds(relay)).filter((kind) => kind === "agent_removed")).toHaveLength(1);
});

test("[P4.7] after a leak the operator ends all that a token made, and the token that asks for it goes on", async () => {
  await using relay = await runningRelay();
  const made = async (by: Client, kind: "operator" | "host") => {
    const text = secret(kind);
    const { id } = await by.createToken({ kind, note: kind, secretHash: tokenHash(text) });
    return { id, client: relay.client(text) };
  };
  const leaked = await made(relay.operator, "operator");
  const thief = await made(leaked.client, "operator");
  const host = await made(leaked.client, "host");
  const asker = await made(leaked.client, "operator");
  const place = { agentName: "eve", provider: "exec", machine: "mill" };
  const runner = secret("runner");
  await thief.client.enrolRunner({ ...place, secretHash: tokenHash(runner) });
  const alone = await relay.operator.revokeToken({ id: leaked.id });
  expect(alone.revokedTokens).toBe(1);
  await thief.client.listAgents({});
  const all = await asker.client.revokeToken({ id: leaked.id, cascade: true });
  expect(all.revokedTokens).toBe(3);
  for (const client of [leaked.client, thief.client, host.client, relay.client(runner)])
    await expect(client.getStatus({})).rejects.toMatchObject({ code: "token_revoked" });
  await asker.client.listAgents({});
  await relay.operator.listAgents({});
  const { entries } = await relay.operator.listAudit({ kind: "token_revoked" });
  expect(entries.map(({ facts }) => facts)).toEqual([
    { kind: "operator", revoked: 3, cascade: true },
    { kind: "operator", revoked: 1 },
  ]);
});
