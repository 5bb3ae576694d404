/** Profiles as data: a change holds at once for every agent that has the profile, and is told to its runner. */
import type { StoredProfile } from "../../store/store.ts";
import type { OperationReply } from "../../wire/api.ts";
import { RelayError } from "../../wire/error.ts";
import { defaultProfile, type Profile, scopesOf } from "../../wire/scope.ts";
import { type Relay, timeText } from "../relay.ts";
import { narrowed } from "../tokens.ts";
import { known, type Operation } from "./operation.ts";

/** What stands in place of a profile at the operator, who has none. */
const reservedName = "operator";

export const listProfiles: Operation<"listProfiles"> = async ({ store }) => ({
  profiles: (await store.listProfiles()).map(profileView),
});

export const getProfile: Operation<"getProfile"> = async (relay, { name }) =>
  profileView(await required(relay, name, "Show"));

export const setProfile: Operation<"setProfile"> = async (relay, input, by) => {
  const { name } = input;
  if (name === reservedName) {
    throw new RelayError("bad_request", `Set profile '${name}': the name is reserved, any other was wanted`);
  }
  const before: Profile = (await find(relay, name)) ?? { ...defaultProfile, name };
  const wanted: Profile = {
    name,
    // In the order of the table, each once.
    scopes: narrowed(scopesOf("agent"), input.scopes ?? before.scopes),
    features: { ...before.features, ...given(input.features) },
    limits: { ...before.limits, ...given(input.limits) },
  };
  const { profile, changed, agents } = await relay.store.setProfile(wanted, relay.clock.now());
  if (!changed) return profileView(profile);
  relay.access.forgetRights();
  for (const agent of agents) relay.hub.hint(agent, "profile");
  await relay.audit({
    kind: "profile_changed",
    by: known(by),
    subject: name,
    facts: { ...profile.limits, scopes: profile.scopes.join(" "), agents: agents.length },
  });
  return profileView(profile);
};

export const removeProfile: Operation<"removeProfile"> = async (relay, { name }, by) => {
  const profile = await required(relay, name, "Remove");
  const result = await relay.store.removeProfile(name);
  switch (result) {
    case "removed":
      await relay.audit({ kind: "profile_removed", by: known(by), subject: name });
      return profileView(profile);
    case "built_in":
      throw new RelayError("profile_in_use", `Remove profile '${name}': it is built in and always there`);
    case "in_use":
      throw new RelayError(
        "profile_in_use",
        `Remove profile '${name}': ${profile.agents} agents have it; none was wanted`,
      );
    case "unknown":
      throw unknown(name, "Remove");
  }
};

async function find({ store }: Relay, name: string): Promise<StoredProfile | undefined> {
  return (await store.listProfiles()).find((profile) => profile.name === name);
}

async function required(relay: Relay, name: string, action: string): Promise<StoredProfile> {
  const profile = await find(relay, name);
  if (profile === undefined) throw unknown(name, action);
  return profile;
}

function unknown(name: string, action: string): RelayError {
  return new RelayError("not_found", `${action} profile '${name}': there is none of that name`);
}

/** The members that have a value: a partial schema lets `undefined` through. */
function given<Members extends object>(members: Members | undefined): { [Name in keyof Members]?: never } {
  const pairs = Object.entries(members ?? {}).filter(([, value]) => value !== undefined);
  return Object.fromEntries(pairs) as { [Name in keyof Members]?: never };
}

function profileView(profile: StoredProfile): OperationReply<"getProfile"> {
  const { name, scopes, features, limits, agents, changedAt } = profile;
  return {
    name,
    scopes: [...scopes],
    features,
    limits,
    agents,
    builtIn: name === defaultProfile.name,
    changedAt: timeText(changedAt),
  };
}
