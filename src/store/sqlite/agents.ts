/** Agents in SQLite: who holds which name, which runner has the lease, and the enrolment that decides it. */
import type { Database } from "bun:sqlite";
import { limits } from "../../limits.ts";
import type { AgentId, TokenId } from "../../wire/id.ts";
import { defaultProfile } from "../../wire/scope.ts";
import { decideLease } from "../lease.ts";
import type { Agent, Displaced, Enrolment, EnrolmentResult, NewToken } from "../store.ts";
import { obligationEnder } from "./obligations.ts";
import type { TokenVerbs } from "./tokens.ts";

type AgentRow = Omit<Agent, "lastSeenAt" | "lease"> & {
  lastSeenAt: number | null;
  holderId: TokenId | null;
  leaseEpoch: number;
  leasedAt: number | null;
  leaseUntil: number | null;
};
type HolderRow = {
  id: TokenId;
  parentId: TokenId | null;
  place: string | null;
  leasedAt: number;
  leaseUntil: number;
};

const select = `SELECT id, name, kind, provider, machine, profile, created_at AS createdAt,
  last_seen_at AS lastSeenAt, holder_id AS holderId, lease_epoch AS leaseEpoch, leased_at AS leasedAt,
  lease_until AS leaseUntil FROM agents`;

/** What the operator's agent has instead of a provider and a machine. */
const operatorAgent = { name: "operator", provider: "person", machine: "relay", profile: "operator" };

function agentStatements(database: Database) {
  const byName = database.prepare<AgentRow, [string]>(`${select} WHERE name = ?1`);
  const byId = database.prepare<AgentRow, [string]>(`${select} WHERE id = ?1`);
  const all = database.prepare<AgentRow, []>(`${select} WHERE removed_at IS NULL ORDER BY name`);
  const insert = database.prepare(
    `INSERT INTO agents (id, name, kind, provider, machine, profile, created_at)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)`,
  );
  const change = database.prepare(
    "UPDATE agents SET provider = ?2, machine = ?3, profile = ?4 WHERE id = ?1",
  );
  const assign = database.prepare("UPDATE agents SET profile = ?2 WHERE id = ?1");
  const seen = database.prepare(
    `UPDATE agents SET last_seen_at = ?2,
       lease_until = CASE WHEN lease_until IS NULL THEN NULL ELSE max(lease_until, ?3) END
     WHERE id = ?1 AND (last_seen_at IS NULL OR last_seen_at < ?2)`,
  );
  const profileThere = database.prepare<unknown, [string]>("SELECT 1 FROM profiles WHERE name = ?1");
  return { byName, byId, all, insert, change, assign, seen, profileThere };
}

/** The lease of an agent: who has it, giving it to another, and what becomes of the one that had it. */
function leaseStatements(database: Database) {
  const holder = database.prepare<HolderRow, [string, number]>(
    `SELECT t.id, t.parent_id AS parentId, a.holder_place AS place, a.leased_at AS leasedAt,
       a.lease_until AS leaseUntil
     FROM agents a JOIN tokens t ON t.id = a.holder_id
     WHERE a.id = ?1 AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > ?2)`,
  );
  const give = database.prepare(
    `UPDATE agents SET holder_id = ?2, holder_place = ?3, lease_epoch = lease_epoch + 1, leased_at = ?4,
       lease_until = ?5 WHERE id = ?1`,
  );
  const displace = database.prepare(
    "UPDATE tokens SET expires_at = min(coalesce(expires_at, ?2), ?2) WHERE id = ?1",
  );
  const children = database.prepare<{ id: TokenId }, [string]>("SELECT id FROM tokens WHERE parent_id = ?1");
  const ofAgent = database.prepare<{ id: TokenId }, [string]>(
    "SELECT id FROM tokens WHERE agent_id = ?1 AND revoked_at IS NULL",
  );
  // The name becomes one that no agent can have, which also tells it in every history from the next one of that name.
  const remove = database.prepare(
    `UPDATE agents SET removed_at = ?2, name = name || ' (removed ' || substr(id, -12) || ')', holder_id = NULL,
       lease_until = NULL WHERE id = ?1`,
  );
  const memberOf = database.prepare<{ channel: string }, [string]>(
    "DELETE FROM channel_members WHERE agent_id = ?1 RETURNING channel",
  );
  const endEmpty = database.prepare(
    "DELETE FROM channels WHERE name = ?1 AND NOT EXISTS (SELECT 1 FROM channel_members WHERE channel = ?1)",
  );
  return { holder, give, displace, children, ofAgent, remove, memberOf, endEmpty };
}

/** The verbs about agents. Every call belongs inside a transaction. */
export function agentVerbs(database: Database, tokens: TokenVerbs) {
  const { byName, byId, all, insert, assign, seen, profileThere } = agentStatements(database);
  const { ofAgent, remove, memberOf, endEmpty } = leaseStatements(database);
  const agentByName = (name: string) => optional(byName.get(name));
  const agentById = (id: AgentId) => optional(byId.get(id));

  function createOperator(agentId: AgentId, token: NewToken, now: number): boolean {
    const { name, provider, machine, profile } = operatorAgent;
    if (agentByName(name) !== undefined) return false;
    insert.run(agentId, name, "operator", provider, machine, profile, now);
    tokens.addToken({ ...token, agentId }, now);
    return true;
  }

  const endObligations = obligationEnder(database);
  // What it did last and what it may not do: of an agent that is there.
  const forgotten = ["brakes", "presence"].map((table) =>
    database.prepare(`DELETE FROM ${table} WHERE agent_id = ?1`),
  );

  return {
    createOperator,
    enrol: enroller(database, tokens),
    agentByName,
    agentById,
    listAgents: () => all.all().map(agentOf),
    removeAgent(name: string, now: number) {
      const agent = agentByName(name);
      if (agent === undefined || agent.kind === "operator") return undefined;
      const revoked = ofAgent.all(agent.id).flatMap(({ id }) => tokens.revoke(id, now));
      for (const { channel } of memberOf.all(agent.id)) endEmpty.run(channel);
      const ended = endObligations(agent.id, now);
      for (const statement of forgotten) statement.run(agent.id);
      remove.run(agent.id, now);
      return { agent, revoked, ended };
    },
    assignProfile(name: string, profile: string) {
      const agent = agentByName(name);
      if (agent === undefined || agent.kind === "operator") return { status: "agent_unknown" } as const;
      if (profileThere.get(profile) === null) return { status: "profile_unknown" } as const;
      assign.run(agent.id, profile);
      return { status: "assigned", agent: { ...agent, profile } } as const;
    },
    markSeen(id: AgentId, now: number): void {
      seen.run(id, now, now + limits.leaseMs);
    },
  };
}

function enroller(database: Database, tokens: TokenVerbs) {
  const { byName, byId, insert, change, profileThere } = agentStatements(database);
  const { holder: holderRow, give } = leaseStatements(database);
  const displaceHolder = displacer(database, tokens);

  function required(id: AgentId): Agent {
    const agent = optional(byId.get(id));
    if (agent === undefined) throw new Error(`Read agent ${id}: it is not there, though a token names it`);
    return agent;
  }

  /** The answer to an enrolment whose token is stored already: its first answer was lost on the way. */
  function enrolledBefore({ name, token: { hash } }: Enrolment): EnrolmentResult | undefined {
    const token = tokens.tokenByHash(hash);
    if (token === undefined) return undefined;
    if (token.kind !== "runner" || token.agentId === undefined || token.agentName !== name) {
      throw new Error(
        `Enrol agent "${name}": the token is already stored as a ${token.kind} token of "${token.agentName ?? ""}"`,
      );
    }
    return {
      status: "enrolled",
      agent: required(token.agentId),
      token,
      revoked: [],
      displaced: undefined,
    };
  }

  return (enrolment: Enrolment, now: number): EnrolmentResult => {
    const again = enrolledBefore(enrolment);
    if (again !== undefined) return again;
    const { agentId, name, provider, machine, takeover, mayTakeOver, token: wanted } = enrolment;
    const known = optional(byName.get(name));
    if (known?.kind === "operator") {
      return { status: "name_taken", machine: known.machine, since: known.createdAt, live: true };
    }
    const profile = enrolment.profile ?? known?.profile ?? defaultProfile.name;
    if (profileThere.get(profile) === null) return { status: "profile_unknown" };
    const held = known === undefined ? null : holderRow.get(known.id, now);
    const holder = {
      place: held?.place ?? undefined,
      parentId: held?.parentId ?? undefined,
      live: held !== null && held.leaseUntil > now,
    };
    const place = enrolment.place;
    const decision = decideLease(held === null ? undefined : holder, {
      ...{ place, takeover, mayTakeOver },
      parentId: wanted.parentId,
    });
    if (held !== null && (decision === "name_taken" || decision === "takeover_forbidden")) {
      return { status: decision, machine: known?.machine ?? "", since: held.leasedAt, live: holder.live };
    }
    const id = known?.id ?? agentId;
    if (known === undefined) insert.run(id, name, "agent", provider, machine, profile, now);
    const revoked = held === null ? [] : displaceHolder(held.id, enrolment.displacedUntil, now);
    const displaced: Displaced | undefined =
      held === null
        ? undefined
        : { holder: held.id, machine: known?.machine ?? "", live: holder.live, silent: decision === "own" };
    change.run(id, provider, machine, profile);
    const added = tokens.addToken({ ...wanted, agentId: id }, now);
    give.run(id, added.id, place ?? null, now, enrolment.leaseUntil);
    const token = tokens.tokenById(added.id) ?? added;
    return { status: "enrolled", agent: required(id), token, revoked, displaced };
  };
}

/** A runner that lost its agent may deliver until then; the agent tokens it minted end now. */
function displacer(database: Database, tokens: TokenVerbs) {
  const { displace, children } = leaseStatements(database);
  return (id: TokenId, until: number, now: number): TokenId[] => {
    displace.run(id, until);
    return children.all(id).flatMap((child) => tokens.revoke(child.id, now));
  };
}

function optional(row: AgentRow | null): Agent | undefined {
  return row === null ? undefined : agentOf(row);
}

function agentOf(row: AgentRow): Agent {
  const { holderId, leaseEpoch, leasedAt, leaseUntil, lastSeenAt, ...rest } = row;
  const lease =
    holderId === null
      ? undefined
      : { holder: holderId, epoch: leaseEpoch, since: leasedAt ?? 0, until: leaseUntil ?? 0 };
  return { ...rest, lastSeenAt: lastSeenAt ?? undefined, lease };
}
