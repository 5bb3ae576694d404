/** Agents in SQLite: who holds which name, and the enrolment that decides it. */
import type { Database } from "bun:sqlite";
import type { AgentId, TokenId } from "../../wire/id.ts";
import type { Agent, Enrolment, EnrolmentResult, NewToken } from "../store.ts";
import type { tokenVerbs } from "./tokens.ts";

type AgentRow = Omit<Agent, "lastSeenAt"> & { lastSeenAt: number | null };
type HolderRow = { id: TokenId; createdAt: number; expiresAt: number | null };

const select = `SELECT id, name, kind, provider, machine, profile, created_at AS createdAt,
  last_seen_at AS lastSeenAt FROM agents`;

/** What the operator's agent has instead of a provider and a machine. */
const operatorAgent = { name: "operator", provider: "person", machine: "relay", profile: "operator" };

function agentStatements(database: Database) {
  const byName = database.prepare<AgentRow, [string]>(`${select} WHERE name = ?1`);
  const byId = database.prepare<AgentRow, [string]>(`${select} WHERE id = ?1`);
  const all = database.prepare<AgentRow, []>(`${select} ORDER BY name`);
  const insert = database.prepare(
    `INSERT INTO agents (id, name, kind, provider, machine, profile, created_at)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)`,
  );
  const change = database.prepare(
    "UPDATE agents SET provider = ?2, machine = ?3, profile = ?4 WHERE id = ?1",
  );
  const seen = database.prepare(
    "UPDATE agents SET last_seen_at = ?2 WHERE id = ?1 AND (last_seen_at IS NULL OR last_seen_at < ?2)",
  );
  const holders = database.prepare<HolderRow, [string]>(
    `SELECT id, created_at AS createdAt, expires_at AS expiresAt FROM tokens
     WHERE agent_id = ?1 AND kind = 'runner' AND revoked_at IS NULL ORDER BY created_at, id`,
  );
  return { byName, byId, all, insert, change, seen, holders };
}

/** The verbs about agents. Every call belongs inside a transaction. */
export function agentVerbs(database: Database, tokens: ReturnType<typeof tokenVerbs>) {
  const { byName, byId, all, insert, change, seen, holders } = agentStatements(database);
  const agentByName = (name: string) => optional(byName.get(name));
  const agentById = (id: AgentId) => optional(byId.get(id));

  function createOperator(agentId: AgentId, token: NewToken, now: number): boolean {
    const { name, provider, machine, profile } = operatorAgent;
    if (agentByName(name) !== undefined) return false;
    insert.run(agentId, name, "operator", provider, machine, profile, now);
    tokens.addToken({ ...token, agentId }, now);
    return true;
  }

  function enrol(enrolment: Enrolment, now: number): EnrolmentResult {
    const again = enrolledBefore(enrolment);
    if (again !== undefined) return again;
    const { agentId, name, provider, machine, profile, takeover } = enrolment;
    const known = agentByName(name);
    if (known === undefined) insert.run(agentId, name, "agent", provider, machine, profile, now);
    if (known?.kind === "operator") {
      return { status: "name_taken", machine: known.machine, since: known.createdAt };
    }
    const held = known === undefined ? [] : holders.all(known.id);
    const holder = held.find(({ expiresAt }) => expiresAt === null || expiresAt > now);
    if (known !== undefined && holder !== undefined && !takeover) {
      return { status: "name_taken", machine: known.machine, since: holder.createdAt };
    }
    const revoked = held.flatMap(({ id }) => tokens.revoke(id, now));
    const id = known?.id ?? agentId;
    change.run(id, provider, machine, profile);
    const token = tokens.addToken({ ...enrolment.token, agentId: id }, now);
    return { status: "enrolled", agent: required(id), token, revoked };
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
    return { status: "enrolled", agent: required(token.agentId), token, revoked: [] };
  }

  function required(id: AgentId): Agent {
    const agent = agentById(id);
    if (agent === undefined) throw new Error(`Read agent ${id}: it is not there, though a token names it`);
    return agent;
  }

  return {
    createOperator,
    enrol,
    agentByName,
    agentById,
    listAgents: () => all.all().map(agentOf),
    markSeen(id: AgentId, now: number): void {
      seen.run(id, now);
    },
  };
}

function optional(row: AgentRow | null): Agent | undefined {
  return row === null ? undefined : agentOf(row);
}

function agentOf(row: AgentRow): Agent {
  return { ...row, lastSeenAt: row.lastSeenAt ?? undefined };
}
