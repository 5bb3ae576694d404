/** What every twin of the relay's store promises about agents, their names and their tokens. */
import { expect } from "bun:test";
import { limits } from "../../src/limits.ts";
import type { NewToken } from "../../src/store/store.ts";
import { defaultProfile } from "../../src/wire/scope.ts";
import { enrolled, type Promises, start, upTo, type World } from "./store-world.ts";

const minute = 60_000;

export const agentPromises: Promises = {
  "the operator is made once, also of many that try at the same time": async (world) => {
    const make = () =>
      world.store.createOperator(world.uuid() as never, world.token({ kind: "operator" }), start);
    const made = await Promise.all(upTo(5).map(make));
    expect(made.filter(Boolean)).toHaveLength(1);
    expect(await make()).toBe(false);
    const operator = await world.store.agentByName("operator");
    expect(operator).toMatchObject({ kind: "operator", createdAt: start });
    expect(await world.store.listTokens(start)).toMatchObject([
      { kind: "operator", agentId: operator?.id as never, agentName: "operator" },
    ]);
  },

  "a free name is enrolled; a lost answer is answered again": async (world) => {
    const enrolment = world.enrolment("ada", { machine: "mill", provider: "claude" });
    const first = enrolled(await world.store.enrol(enrolment, start));
    expect(first).toMatchObject({
      agent: {
        id: enrolment.agentId,
        name: "ada",
        kind: "agent",
        provider: "claude",
        machine: "mill",
        profile: "default",
        createdAt: start,
      },
      token: { id: enrolment.token.id, agentId: enrolment.agentId, agentName: "ada", kind: "runner" },
      revoked: [],
    });
    const retry = { ...enrolment, agentId: world.uuid() as never, takeover: true };
    expect(await world.store.enrol(retry, start + 5)).toEqual(first);
    expect(first.agent.lease).toEqual({
      holder: enrolment.token.id,
      epoch: 1,
      since: start,
      until: enrolment.leaseUntil,
    });
    expect(await world.store.findToken(enrolment.token.hash, start)).toMatchObject({
      id: enrolment.token.id,
    });
  },

  "a name that is held is refused with machine and time, and nothing is changed": async (world) => {
    const first = await world.store.enrol(world.enrolment("ada", { machine: "mill" }), start);
    const other = world.enrolment("ada", { machine: "barn" });
    const taken = { status: "name_taken", machine: "mill", since: start, live: true } as const;
    expect(await world.store.enrol(other, start + 9)).toEqual(taken);
    expect(await world.store.findToken(other.token.hash, start)).toBeUndefined();
    expect(await world.store.agentByName("ada")).toEqual(enrolled(first).agent);
  },

  "of many enrolments at the same time one wins": async (world) => {
    const results = await Promise.all(
      upTo(12).map((n) => world.store.enrol(world.enrolment("ada", { machine: `m${n}` }), start)),
    );
    const winners = results.filter(({ status }) => status === "enrolled");
    expect(winners).toHaveLength(1);
    expect(await world.store.listTokens(start)).toHaveLength(1);
  },

  "a takeover keeps the agent and displaces the holder, whose agent tokens end": async (world) => {
    const { agent, token, child } = await holder(world);
    await world.apply(agent, world.write({ to: "ada", body: "kept" }));
    const other = world.enrolment("ada", { machine: "barn", takeover: true });
    const result = enrolled(await world.store.enrol(other, start + minute));
    const lease = { holder: other.token.id, epoch: 2, since: start + minute, until: other.leaseUntil };
    expect(result.agent).toEqual({ ...agent, machine: "barn", lease });
    expect(result.revoked).toEqual([child.id]);
    expect(result.displaced).toEqual({ holder: token.id, machine: "mill", live: true, silent: false });
    expect(await world.store.findToken(child.hash, start)).toMatchObject({ revokedAt: start + minute });
    const [now, before] = [other.token.hash, token.hash].map((hash) => world.store.findToken(hash, start));
    expect(await now).toMatchObject({ holds: true, revokedAt: undefined });
    expect(await before).toMatchObject({
      holds: false,
      revokedAt: undefined,
      expiresAt: other.displacedUntil,
    });
    expect(await world.inbox(result.agent)).toMatchObject([{ body: "kept" }]);
    expect(await world.store.enrol(world.enrolment("ada"), start + 2 * minute)).toEqual({
      status: "name_taken",
      machine: "barn",
      since: start + minute,
      live: true,
    });
  },

  "the same place takes its agent back; a live one is taken only by who may, one without a sign by any":
    async (world) => {
      await world.store.enrol(world.enrolment("ada", { place: "here" }), start);
      const own = enrolled(await world.store.enrol(world.enrolment("ada", { place: "here" }), start + 1));
      expect(own.displaced).toMatchObject({ silent: true });
      const force = { place: "there", takeover: true, mayTakeOver: false };
      const refused = await world.store.enrol(world.enrolment("ada", force), start + 2);
      expect(refused).toMatchObject({ status: "takeover_forbidden", live: true });
      await world.store.markSeen(own.agent.id, start + minute);
      const renewed = (await world.store.agentByName("ada"))?.lease?.until ?? 0;
      expect(renewed).toBe(start + minute + limits.leaseMs);
      expect(await world.store.enrol(world.enrolment("ada", force), renewed - 1)).toEqual(refused);
      const taken = enrolled(await world.store.enrol(world.enrolment("ada", force), renewed));
      expect(taken).toMatchObject({
        displaced: { live: false, silent: false },
        agent: { lease: { epoch: 3 } },
      });
    },

  "an agent keeps its profile when it is enrolled anew, and an unknown one is refused": async (world) => {
    const { agent } = await holder(world);
    await world.store.setProfile({ ...defaultProfile, name: "quiet", scopes: ["message:read"] }, start);
    expect(await world.store.assignProfile("ada", "quiet")).toMatchObject({ status: "assigned" });
    expect(await world.store.assignProfile("ada", "none")).toEqual({ status: "profile_unknown" });
    expect(await world.store.assignProfile("eve", "quiet")).toEqual({ status: "agent_unknown" });
    const next = world.enrolment("ada", { takeover: true, profile: undefined });
    expect(enrolled(await world.store.enrol(next, start)).agent).toMatchObject({
      id: agent.id,
      profile: "quiet",
    });
    const wrong = world.enrolment("bob", { profile: "none" });
    expect(await world.store.enrol(wrong, start)).toEqual({ status: "profile_unknown" });
    expect(await world.store.agentByName("bob")).toBeUndefined();
  },

  "a removed agent frees its name and keeps its history; its tokens end": async (world) => {
    const { agent, token, child } = await holder(world);
    const bob = await world.agent("bob");
    await world.apply(agent, world.write({ to: "bob", body: "from the first" }));
    await world.store.joinChannel("#alone", agent.id, start);
    const removed = await world.store.removeAgent("ada", start + 1);
    expect(await world.store.listChannels()).toEqual([]);
    expect(removed?.agent.id).toBe(agent.id);
    expect(removed?.revoked.toSorted()).toEqual([token.id, child.id].toSorted());
    expect(await world.store.findToken(token.hash, start)).toMatchObject({
      agentRemoved: true,
      holds: false,
    });
    expect(await world.store.removeAgent("ada", start + 2)).toBeUndefined();
    expect((await world.store.listAgents()).map(({ name }) => name)).toEqual(["bob"]);
    const next = await world.agent("ada");
    expect(next.id).not.toBe(agent.id);
    expect(await world.inbox(bob)).toMatchObject([
      { from: `ada (removed ${agent.id.slice(-12)})`, body: "from the first" },
    ]);
    await world.store.createOperator(world.uuid() as never, world.token({ kind: "operator" }), start);
    expect(await world.store.removeAgent("operator", start)).toBeUndefined();
  },

  "a name whose holder was revoked or has expired is free for its next runner": async (world) => {
    const { agent, token } = await holder(world);
    await world.store.revokeToken(token.id, start);
    const brief = world.enrolment("ada", { token: world.token({ expiresAt: start + 5 }) });
    expect(enrolled(await world.store.enrol(brief, start)).agent.id).toBe(agent.id);
    expect(await world.store.enrol(world.enrolment("ada"), start + 4)).toMatchObject({
      status: "name_taken",
    });
    const next = enrolled(await world.store.enrol(world.enrolment("ada"), start + 5));
    expect(next.agent.id).toBe(agent.id);
  },

  "nobody takes the operator's name, not even by force": async (world) => {
    await world.store.createOperator(world.uuid() as never, world.token({ kind: "operator" }), start);
    const force = world.enrolment("operator", { takeover: true });
    expect(await world.store.enrol(force, start)).toMatchObject({ status: "name_taken", since: start });
    expect(await world.store.findToken(force.token.hash, start)).toBeUndefined();
  },

  "agents are found by name and id, listed by name, and remember when they were last seen": async (world) => {
    const [bob, ada] = [await world.agent("bob"), await world.agent("ada")];
    expect(await world.store.agentById(bob.id)).toEqual(bob);
    expect(await world.store.agentByName("eve")).toBeUndefined();
    expect(await world.store.agentById(world.uuid() as never)).toBeUndefined();
    expect(bob.lastSeenAt).toBeUndefined();
    await world.store.markSeen(bob.id, start + 7);
    await world.store.markSeen(bob.id, start + 3);
    const lease = bob.lease === undefined ? undefined : { ...bob.lease, until: start + 7 + limits.leaseMs };
    expect(await world.store.listAgents()).toEqual([ada, { ...bob, lastSeenAt: start + 7, lease }]);
    expect(await world.store.counts()).toEqual({ agents: 2, messages: 0, unread: 0, obligationsOpen: 0 });
  },
};

export const tokenPromises: Promises = {
  "a token is found by its hash; the same hash again gives the stored row": async (world) => {
    const token = world.token({ kind: "host", scopes: ["runner:enrol"], expiresAt: start + minute });
    const stored = await world.store.addToken(token, start);
    const { hash, ...shown } = token;
    expect(stored).toEqual({
      ...shown,
      agentId: undefined,
      agentName: undefined,
      parentId: undefined,
      profile: undefined,
      createdAt: start,
      expiresAt: start + minute,
      revokedAt: undefined,
      lastUsedAt: undefined,
      grants: undefined,
      holds: false,
      profileScopes: [],
      features: defaultProfile.features,
      agentRemoved: false,
    });
    const again = world.token({ hash, scopes: ["token:admin"], note: "another" });
    expect(await world.store.addToken(again, start + 1)).toEqual(stored);
    expect(await world.store.findToken(again.hash, start)).toMatchObject({ id: token.id });
    expect(await world.store.findToken("0".repeat(64), start)).toBeUndefined();
  },

  "the last use of a token is noted at most once a minute": async (world) => {
    const { hash } = world.token({});
    await world.store.addToken(world.token({ hash }), start);
    const uses = [0, 59_999, minute, minute + 1, 3 * minute];
    const noted: (number | undefined)[] = [];
    for (const at of uses) noted.push((await world.store.findToken(hash, start + at))?.lastUsedAt);
    expect(noted).toEqual([0, 0, minute, minute, 3 * minute].map((at) => start + at));
    expect((await world.store.listTokens(start))[0]?.lastUsedAt).toBe(start + 3 * minute);
  },

  "tokens are listed newest first, without agent tokens that have expired": async (world) => {
    const add = (at: number, over: Parameters<typeof world.token>[0]) =>
      world.store.addToken(world.token(over), start + at);
    const host = await add(1, { kind: "host", expiresAt: start + 2 });
    const live = await add(2, { kind: "agent", expiresAt: start + 100 });
    await add(3, { kind: "agent", expiresAt: start + 50 });
    const runner = await add(4, { kind: "runner" });
    const listed = await world.store.listTokens(start + 50);
    expect(listed.map(({ id }) => id)).toEqual([runner.id, live.id, host.id]);
  },

  "revoking a token revokes what was minted by it, once": async (world) => {
    const { token, child } = await holder(world);
    const other = await world.agent("bob");
    const first = await world.store.revokeToken(token.id, start + 1);
    expect(first?.token).toMatchObject({ id: token.id, revokedAt: start + 1 });
    expect(first?.revoked.toSorted()).toEqual([token.id, child.id].toSorted());
    const second = await world.store.revokeToken(token.id, start + 2);
    expect(second).toMatchObject({ token: { revokedAt: start + 1 }, revoked: [] });
    expect(await world.store.revokeToken(world.uuid() as never, start)).toBeUndefined();
    const untouched = (await world.store.listTokens(start)).filter(({ agentId }) => agentId === other.id);
    expect(untouched).toMatchObject([{ revokedAt: undefined }]);
  },

  "what an operator made outlives its token, unless all of it is revoked; who asks for that is spared":
    async (world) => {
      const add = (kind: "operator" | "host" | "agent", more: Partial<NewToken> = {}) =>
        world.store.addToken(world.token({ kind, ...more }), start);
      const first = await add("operator");
      const [host, second, asker] = [
        await add("host", { makerId: first.id }),
        await add("operator", { makerId: first.id }),
        await add("operator", { makerId: first.id }),
      ];
      const enrolment = world.enrolment("ada");
      const own = { ...enrolment, token: { ...enrolment.token, makerId: second.id } };
      const runner = enrolled(await world.store.enrol(own, start)).token;
      const theirs = await add("agent", { parentId: host.id, expiresAt: start + 100 });
      const spared = await add("host", { makerId: asker.id });
      expect((await world.store.revokeToken(first.id, start + 1))?.revoked).toEqual([first.id]);
      const all = await world.store.revokeToken(first.id, start + 2, { sparing: asker.id });
      expect(all?.revoked.toSorted()).toEqual([host.id, second.id, runner.id, theirs.id].toSorted());
      const valid = (await world.store.listTokens(start)).filter(({ revokedAt }) => revokedAt === undefined);
      expect(valid.map(({ id }) => id).toSorted()).toEqual([asker.id, spared.id].toSorted());
      expect(await add("host", { makerId: first.id })).toMatchObject({ revokedAt: start + 1 });
    },

  "a token minted by a revoked one is revoked from the start": async (world) => {
    const { token, agent } = await holder(world);
    await world.store.revokeToken(token.id, start + 1);
    const late = world.token({ kind: "agent", parentId: token.id, agentId: agent.id });
    expect(await world.store.addToken(late, start + 2)).toMatchObject({ revokedAt: start + 1 });
  },
};

/** ada with her runner token and an agent token minted by it. */
async function holder(world: World) {
  const enrolment = world.enrolment("ada");
  const { agent, token } = enrolled(await world.store.enrol(enrolment, start));
  const child = world.token({
    kind: "agent",
    parentId: token.id,
    agentId: agent.id,
    expiresAt: start + 9 * minute,
  });
  await world.store.addToken(child, start);
  return { agent, token: { ...token, hash: enrolment.token.hash }, child };
}
