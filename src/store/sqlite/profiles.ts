/** Profiles in SQLite. The default one is there from the first opening on. */
import type { Database } from "bun:sqlite";
import type { AgentId } from "../../wire/id.ts";
import { defaultProfile, type Profile, type Scope } from "../../wire/scope.ts";
import type { StoredProfile } from "../store.ts";

type ProfileRow = {
  name: string;
  scopes: string;
  features: string;
  burst: number;
  perMinute: number;
  fanOutMax: number;
  hopsMax: number;
  changedAt: number;
  agents: number;
};

const select = `SELECT name, scopes, features, burst, per_minute AS perMinute, fan_out_max AS fanOutMax,
  hops_max AS hopsMax, changed_at AS changedAt,
  (SELECT count(*) FROM agents a WHERE a.profile = profiles.name AND a.removed_at IS NULL) AS agents FROM profiles`;

/** Makes the default profile where there is none. Must run outside a transaction. */
export function seedProfiles(database: Database, now: number): void {
  const there = database.query<unknown, [string]>("SELECT 1 FROM profiles WHERE name = ?1");
  if (there.get(defaultProfile.name) === null) profileWriter(database)(defaultProfile, now);
}

/** The verbs about profiles. Every call belongs inside a transaction. */
export function profileVerbs(database: Database) {
  const byName = database.prepare<ProfileRow, [string]>(`${select} WHERE name = ?1`);
  const all = database.prepare<ProfileRow, []>(`${select} ORDER BY name`);
  const holders = database.prepare<{ id: AgentId }, [string]>(
    "SELECT id FROM agents WHERE profile = ?1 AND removed_at IS NULL",
  );
  const remove = database.prepare<unknown, [string]>("DELETE FROM profiles WHERE name = ?1");
  const write = profileWriter(database);

  return {
    profileExists: (name: string): boolean => byName.get(name) !== null,
    listProfiles: (): StoredProfile[] => all.all().map(profileOf),
    setProfile(profile: Profile, now: number) {
      const before = byName.get(profile.name);
      const changed = before === null || !isSame(profileOf(before), profile);
      if (changed) write(profile, now);
      const after = byName.get(profile.name);
      if (after === null)
        throw new Error(`Set profile "${profile.name}": it is not there after it was stored`);
      return { profile: profileOf(after), changed, agents: holders.all(profile.name).map(({ id }) => id) };
    },
    removeProfile(name: string): "removed" | "in_use" | "built_in" | "unknown" {
      const row = byName.get(name);
      if (row === null) return "unknown";
      if (name === defaultProfile.name) return "built_in";
      if (row.agents > 0) return "in_use";
      remove.run(name);
      return "removed";
    },
  };
}

function profileWriter(database: Database): (profile: Profile, now: number) => void {
  const put = database.prepare(
    `INSERT INTO profiles (name, scopes, features, burst, per_minute, fan_out_max, hops_max, changed_at)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
     ON CONFLICT (name) DO UPDATE SET scopes = ?2, features = ?3, burst = ?4, per_minute = ?5, fan_out_max = ?6,
       hops_max = ?7, changed_at = ?8`,
  );
  return ({ name, scopes, features, limits }, now) => {
    const { burst, perMinute, fanOutMax, hopsMax } = limits;
    const [rights, switches] = [JSON.stringify(scopes), JSON.stringify(features)];
    put.run(name, rights, switches, burst, perMinute, fanOutMax, hopsMax, now);
  };
}

function profileOf(row: ProfileRow): StoredProfile {
  const { name, burst, perMinute, fanOutMax, hopsMax, changedAt, agents } = row;
  return {
    name,
    // Written above from the same types.
    scopes: JSON.parse(row.scopes) as Scope[],
    features: JSON.parse(row.features) as Profile["features"],
    limits: { burst, perMinute, fanOutMax, hopsMax },
    changedAt,
    agents,
  };
}

function isSame(a: Profile, b: Profile): boolean {
  return JSON.stringify(membersOf(a)) === JSON.stringify(membersOf(b));
}

function membersOf({ scopes, features, limits }: Profile): unknown[] {
  const { burst, perMinute, fanOutMax, hopsMax } = limits;
  const { mcp, skills, statusLine, hooks } = features;
  return [[...scopes].sort(), [mcp, skills, statusLine, hooks], [burst, perMinute, fanOutMax, hopsMax]];
}
