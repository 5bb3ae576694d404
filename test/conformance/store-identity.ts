/** What every twin of the relay's store promises about renewals of tokens, and about profiles. */
import { expect } from "bun:test";
import type { Minting, NewToken } from "../../src/store/store.ts";
import type { TokenId } from "../../src/wire/id.ts";
import { defaultProfile, type Profile } from "../../src/wire/scope.ts";
import { enrolled, type Promises, start, upTo, type World } from "./store-world.ts";

const minute = 60_000;
const hash = (name: string) => Buffer.from(name.padEnd(32)).toString("hex");

/** ada with the secret "one", and a way to swap one of her secrets. */
async function ada(world: World, over: Partial<NewToken> = {}) {
  const token = world.token({ hash: hash("one"), ...over });
  const { agent } = enrolled(await world.store.enrol(world.enrolment("ada", { token }), start));
  const renew = (secret: string, successor: string, at = start) =>
    world.store.renewToken(
      {
        secret: hash(secret),
        successor: hash(successor),
        expiresAt: at + 60 * minute,
        usedUntil: at + 10 * minute,
      },
      at,
    );
  const find = (secret: string) => world.store.findToken(hash(secret), start);
  return { agent, id: token.id, renew, find };
}

/** Minting for ada's runner; the runtime token's secret is named. */
function minting(
  world: World,
  of: { agent: { id: never }; id: TokenId },
  name: string,
  replaces?: string,
): Minting {
  const token = world.token({
    kind: "agent",
    agentId: of.agent.id,
    hash: hash(name),
    expiresAt: start + 60 * minute,
  });
  return {
    token: { ...token, parentId: of.id },
    replaces: replaces === undefined ? undefined : hash(replaces),
    usedUntil: start + 10 * minute,
  };
}

export const renewalPromises: Promises = {
  "a secret is swapped for its successor, once, and is good for a while more": async (world) => {
    const { id, renew, find } = await ada(world);
    expect(await renew("one", "two")).toMatchObject({ status: "renewed", swapped: true, token: { id } });
    expect(await renew("one", "two", start + 5 * minute)).toMatchObject({
      status: "renewed",
      swapped: false,
    });
    expect(await renew("two", "two")).toMatchObject({ status: "renewed", swapped: false });
    expect(await find("two")).toMatchObject({ id, usedUntil: undefined, expiresAt: start + 60 * minute });
    expect(await find("one")).toMatchObject({ id, usedUntil: start + 10 * minute });
  },

  "of many swaps of one secret at the same time one successor wins, and the others revoke the family": async (
    world,
  ) => {
    const { id, renew, find } = await ada(world);
    const results = await Promise.all(upTo(6).map((n) => renew("one", `next ${n}`)));
    expect(results.map(({ status }) => status)).toEqual([
      "renewed",
      "reused",
      ...Array.from({ length: 4 }, () => "refused"),
    ] as never);
    expect(results[1]).toMatchObject({ revoked: [id] });
    expect(await find("next 1")).toMatchObject({ id, revokedAt: start });
  },

  "[P4.8] a used secret that comes with another successor revokes the family, however late": async (
    world,
  ) => {
    const of = await ada(world);
    await world.store.mintToken(minting(world, of as never, "run"), start);
    await of.renew("one", "two");
    await of.renew("two", "three");
    const late = await of.renew("one", "stolen", start + 50 * minute);
    expect(late).toMatchObject({ status: "reused", token: { id: of.id } });
    expect(await of.find("three")).toMatchObject({ revokedAt: start + 50 * minute });
    expect(await of.find("run")).toMatchObject({ revokedAt: start + 50 * minute });
    expect(await of.renew("three", "four")).toMatchObject({ status: "refused" });
  },

  "[P4.9] what a displaced runner still delivers is marked late": async (world) => {
    const { agent } = await ada(world);
    const bob = await world.agent("bob");
    const batch = world.batch(agent, [world.write({ to: "bob", body: "drained" })]);
    await world.store.applyWrites({ ...batch, late: true }, start);
    await world.apply(agent, world.write({ to: "bob", body: "live" }));
    expect((await world.inbox(bob)).map(({ body, late }) => [body, late === true])).toEqual([
      ["drained", true],
      ["live", false],
    ]);
  },

  "a secret that is unknown, has ended or belongs to another token is not swapped": async (world) => {
    const { renew } = await ada(world, { expiresAt: start + minute });
    await world.store.enrol(world.enrolment("bob", { token: world.token({ hash: hash("bob") }) }), start);
    expect(await renew("none", "two")).toEqual({ status: "refused", token: undefined });
    expect(await renew("one", "bob")).toMatchObject({ status: "refused" });
    expect(await renew("one", "two", start + minute)).toMatchObject({ status: "refused" });
    expect(await renew("one", "two", start + minute - 1)).toMatchObject({ status: "renewed" });
  },

  "the next runtime token lets the earlier ones end soon, and asking again changes nothing": async (
    world,
  ) => {
    const of = await ada(world);
    const first = await world.store.mintToken(minting(world, of as never, "a"), start);
    expect(first).toMatchObject({ status: "minted", added: true, superseded: [] });
    const ask = minting(world, of as never, "b", "a");
    const next = await world.store.mintToken(ask, start);
    expect(next).toMatchObject({ status: "minted", added: true, superseded: [(await of.find("a"))?.id] });
    expect(await of.find("a")).toMatchObject({ expiresAt: start + 10 * minute });
    const again = await world.store.mintToken(ask, start + minute);
    expect(again).toMatchObject({ status: "minted", added: false, token: { id: ask.token.id } });
    expect(await of.find("b")).toMatchObject({ expiresAt: start + 60 * minute });
  },

  "[P4.8] a runtime token that was replaced by another one shows a copy: the runner's family is revoked":
    async (world) => {
      const of = await ada(world);
      await world.store.mintToken(minting(world, of as never, "a"), start);
      await world.store.mintToken(minting(world, of as never, "stolen"), start);
      const result = await world.store.mintToken(minting(world, of as never, "b", "a"), start + 1);
      expect(result.status).toBe("reused");
      expect(await of.find("one")).toMatchObject({ revokedAt: start + 1 });
      expect(await of.find("stolen")).toMatchObject({ revokedAt: start + 1 });
      expect(await of.find("b")).toBeUndefined();
    },
};

const quiet: Profile = {
  name: "quiet",
  scopes: ["message:read"],
  features: { mcp: true, skills: false, statusLine: true, hooks: false },
  limits: { burst: 5, perMinute: 2, fanOutMax: 3, hopsMax: 0 },
};

export const profilePromises: Promises = {
  "the default profile is there from the start and stays": async (world) => {
    expect(await world.store.listProfiles()).toMatchObject([{ ...defaultProfile, agents: 0 }]);
    expect(await world.store.removeProfile("default")).toBe("built_in");
    const again = await world.reopen();
    expect((await again.listProfiles()).map(({ name }) => name)).toEqual(["default"]);
  },

  "a profile is made, changed and told of its agents; the same again changes nothing": async (world) => {
    const made = await world.store.setProfile(quiet, start);
    expect(made).toEqual({ profile: { ...quiet, changedAt: start, agents: 0 }, changed: true, agents: [] });
    const agent = await world.agent("ada");
    await world.store.assignProfile("ada", "quiet");
    expect(await world.store.setProfile(quiet, start + 1)).toMatchObject({ changed: false });
    const wider: Profile = { ...quiet, scopes: ["message:send", "message:read"] };
    const changed = await world.store.setProfile(wider, start + 2);
    expect(changed).toEqual({
      profile: { ...wider, changedAt: start + 2, agents: 1 },
      changed: true,
      agents: [agent.id],
    });
    expect(await world.store.findToken((await tokenOf(world)).hash, start)).toMatchObject({
      profile: "quiet",
      profileScopes: wider.scopes,
      features: quiet.features,
    });
  },

  "a profile that an agent has is not removed": async (world) => {
    await world.store.setProfile(quiet, start);
    await world.agent("ada");
    await world.store.assignProfile("ada", "quiet");
    expect(await world.store.removeProfile("quiet")).toBe("in_use");
    await world.store.removeAgent("ada", start);
    expect(await world.store.removeProfile("quiet")).toBe("removed");
    expect(await world.store.removeProfile("quiet")).toBe("unknown");
  },
};

/** Another runner of ada, with a hash that is known. */
async function tokenOf(world: World): Promise<NewToken> {
  const token = world.token();
  await world.store.enrol(world.enrolment("ada", { token, takeover: true, profile: undefined }), start);
  return token;
}
