/**
 * Rows of new tokens. Secrets are made by whoever will use them; only their hashes arrive here. A token never holds
 * more than its kind may hold, nor more or longer than its maker where the maker has it to give.
 */
import { limits } from "../limits.ts";
import type { NewToken } from "../store/store.ts";
import { type AgentId, asId, type TokenId } from "../wire/id.ts";
import { defaultProfile, type Scope, scopesOf } from "../wire/scope.ts";
import type { AgentPrincipal, Principal } from "./access.ts";

/** What a principal may hand on to agents: everything an agent may hold, where nothing narrower was said. */
export function grantable(principal: Pick<Principal, "grants">): readonly Scope[] {
  return principal.grants ?? scopesOf("agent");
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

/**
 * A token that an operator makes for another operator or for a host; it does not outlive its maker. Without other
 * words a host hands on what the default profile holds.
 */
export function createdToken(
  maker: Principal,
  facts: {
    id: string;
    kind: "operator" | "host";
    hash: string;
    note: string;
    grants: readonly Scope[] | undefined;
    expiresAt: number | undefined;
  },
): NewToken {
  const { id, kind, hash, note } = facts;
  const wanted = facts.grants ?? (kind === "host" ? defaultProfile.scopes : maker.grants);
  return {
    id: asId<TokenId>(id),
    kind,
    hash,
    agentId: kind === "operator" ? maker.agentId : undefined,
    makerId: maker.tokenId,
    scopes: narrowed(scopesOf(kind), maker.scopes),
    ...(wanted === undefined ? {} : { grants: narrowed(wanted, grantable(maker)) }),
    note,
    expiresAt: earliest(facts.expiresAt, maker.expiresAt),
  };
}

/**
 * The token of a runner that is being enrolled: it ends with a host's own, hands on no more, and goes with it. What an
 * operator enrols outlives the operator's token.
 */
export function runnerToken(
  by: Principal,
  facts: { id: string; hash: string; agentId: AgentId; machine: string; now: number },
): NewToken {
  const { id, hash, agentId, machine, now } = facts;
  return {
    id: asId<TokenId>(id),
    kind: "runner",
    hash,
    agentId,
    ...(by.kind === "host" ? { parentId: by.tokenId } : { makerId: by.tokenId }),
    scopes: scopesOf("runner"),
    ...(by.grants === undefined ? {} : { grants: [...by.grants] }),
    note: `runner on ${machine}`,
    expiresAt: earliest(now + limits.runnerTokenMs, by.kind === "host" ? by.expiresAt : undefined),
  };
}

/** The next runtime token of the agent that a runner runs; it ends with the runner's own at the latest. */
export function agentToken(
  runner: AgentPrincipal,
  facts: { id: string; hash: string; now: number },
): NewToken & { parentId: TokenId; expiresAt: number } {
  const end = facts.now + limits.agentTokenMs;
  return {
    id: asId<TokenId>(facts.id),
    kind: "agent",
    hash: facts.hash,
    agentId: runner.agentId,
    parentId: runner.tokenId,
    profile: runner.profile,
    scopes: [...runner.agentScopes],
    note: "",
    expiresAt: Math.min(end, runner.expiresAt ?? end),
  };
}

/** The wanted ones that are within the bound. */
export function narrowed(wanted: readonly Scope[], bound: readonly Scope[]): Scope[] {
  return wanted.filter((scope) => bound.includes(scope));
}

function earliest(...times: (number | undefined)[]): number | undefined {
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
