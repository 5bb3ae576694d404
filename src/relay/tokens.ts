/**
 * Rows of new tokens. Secrets are made by whoever will use them; only their hashes arrive here. A token never holds
 * more than its kind may hold, nor more or longer than its maker where the maker has it to give.
 */
import { limits } from "../limits.ts";
import type { NewToken } from "../store/store.ts";
import { RelayError } from "../wire/error.ts";
import { type AgentId, asId, type TokenId } from "../wire/id.ts";
import { defaultProfile, type Profile, type Scope, scopesOf } from "../wire/scope.ts";
import type { AgentPrincipal, Principal } from "./access.ts";

const profiles: readonly Profile[] = [defaultProfile];

/** The profile of a name; the default one without a name. @throws RelayError bad_request */
export function profileOf(name: string | undefined): Profile {
  const found = profiles.find((profile) => profile.name === (name ?? defaultProfile.name));
  if (found !== undefined) return found;
  const known = profiles.map((profile) => profile.name).join(", ");
  throw new RelayError("bad_request", `Use profile '${name}': there is none of that name; there is ${known}`);
}

/** What an agent of this profile may do: the profile's scopes, as far as an agent may ever hold them. */
export function agentScopes(profile: Profile): Scope[] {
  return narrowed(profile.scopes, scopesOf("agent"));
}

/** The first operator token, and every later one that the machine of the relay makes. */
export function operatorToken(id: string, hash: string, agentId: AgentId): NewToken {
  return {
    id: asId<TokenId>(id),
    kind: "operator",
    hash,
    agentId,
    scopes: scopesOf("operator"),
    note: "made at start",
  };
}

/** A token that an operator makes for another operator or for a host; it does not outlive its maker. */
export function createdToken(
  maker: Principal,
  facts: { id: string; kind: "operator" | "host"; hash: string; note: string; expiresAt: number | undefined },
): NewToken {
  const { id, kind, hash, note } = facts;
  return {
    id: asId<TokenId>(id),
    kind,
    hash,
    agentId: kind === "operator" ? maker.agentId : undefined,
    scopes: narrowed(scopesOf(kind), maker.scopes),
    note,
    expiresAt: earliest(facts.expiresAt, maker.expiresAt),
  };
}

/** The token of a runner that is being enrolled. */
export function runnerToken(facts: {
  id: string;
  hash: string;
  agentId: AgentId;
  profile: Profile;
  machine: string;
}): NewToken {
  return {
    id: asId<TokenId>(facts.id),
    kind: "runner",
    hash: facts.hash,
    agentId: facts.agentId,
    profile: facts.profile.name,
    scopes: scopesOf("runner"),
    note: `runner on ${facts.machine}`,
  };
}

/** The next runtime token of the agent that a runner runs; it ends with the runner's own at the latest. */
export function agentToken(
  runner: AgentPrincipal,
  facts: { id: string; hash: string; now: number },
): NewToken & { expiresAt: number } {
  const profile = profileOf(runner.profile);
  const end = facts.now + limits.agentTokenMs;
  return {
    id: asId<TokenId>(facts.id),
    kind: "agent",
    hash: facts.hash,
    agentId: runner.agentId,
    parentId: runner.tokenId,
    profile: profile.name,
    scopes: agentScopes(profile),
    note: "",
    expiresAt: Math.min(end, runner.expiresAt ?? end),
  };
}

function narrowed(wanted: readonly Scope[], bound: readonly Scope[]): Scope[] {
  return wanted.filter((scope) => bound.includes(scope));
}

function earliest(...times: (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
