/** Channels in SQLite: they begin with the first member and end with the last. */
import type { Database } from "bun:sqlite";
import { limits } from "../../limits.ts";
import type { AgentId } from "../../wire/id.ts";
import type { Channel, ChannelMember, JoinResult } from "../store.ts";

type Counts = { channels: number; members: number; there: number; joined: number };

function channelStatements(database: Database) {
  return {
    counts: database.prepare<Counts, [string, string]>(
      `SELECT (SELECT count(*) FROM channels) AS channels,
         (SELECT count(*) FROM channel_members WHERE channel = ?1) AS members,
         EXISTS (SELECT 1 FROM channels WHERE name = ?1) AS there,
         EXISTS (SELECT 1 FROM channel_members WHERE channel = ?1 AND agent_id = ?2) AS joined`,
    ),
    make: database.prepare(
      "INSERT INTO channels (name, created_at) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING",
    ),
    join: database.prepare(
      `INSERT INTO channel_members (channel, agent_id, joined_at) VALUES (?1, ?2, ?3)
       ON CONFLICT (channel, agent_id) DO NOTHING`,
    ),
    leave: database.prepare("DELETE FROM channel_members WHERE channel = ?1 AND agent_id = ?2"),
    end: database.prepare(
      `DELETE FROM channels WHERE name = ?1
       AND NOT EXISTS (SELECT 1 FROM channel_members WHERE channel = ?1)`,
    ),
    all: database.prepare<Channel, []>(
      `SELECT c.name, c.created_at AS createdAt,
         (SELECT count(*) FROM channel_members m WHERE m.channel = c.name) AS members
       FROM channels c ORDER BY c.name`,
    ),
    of: database.prepare<{ name: string }, [string]>(
      "SELECT channel AS name FROM channel_members WHERE agent_id = ?1 ORDER BY channel",
    ),
    members: database.prepare<ChannelMember, [string]>(
      `SELECT a.id, a.name, c.joined_at AS joinedAt
       FROM channel_members c CROSS JOIN agents a ON a.id = c.agent_id
       WHERE c.channel = ?1 ORDER BY a.name`,
    ),
  };
}

/** The verbs about channels. Every call belongs inside a transaction. */
export function channelVerbs(database: Database) {
  const statements = channelStatements(database);
  const membersOf = (name: string) => statements.members.all(name);

  function joinChannel(name: string, agentId: AgentId, now: number): JoinResult {
    const { channels, members, there, joined } = statements.counts.get(name, agentId) ?? noCounts;
    // A message to the channel has every member but its sender as a recipient.
    if (joined === 0 && members > limits.fanOutMax) return { status: "full", what: "members" };
    if (there === 0 && channels >= limits.channelsMax) return { status: "full", what: "channels" };
    statements.make.run(name, now);
    statements.join.run(name, agentId, now);
    return { status: "joined", members: membersOf(name).map((member) => member.name), made: there === 0 };
  }

  return {
    joinChannel,
    leaveChannel(name: string, agentId: AgentId): boolean {
      const left = statements.leave.run(name, agentId).changes > 0;
      statements.end.run(name);
      return left;
    },
    listChannels: (): Channel[] => statements.all.all(),
    channelsOf: (agentId: AgentId): string[] => statements.of.all(agentId).map(({ name }) => name),
    channelMembers(name: string): ChannelMember[] | undefined {
      const members = membersOf(name);
      return members.length === 0 ? undefined : members;
    },
  };
}

const noCounts: Counts = { channels: 0, members: 0, there: 0, joined: 0 };
