/** A database from before leases and profiles: its agents keep their runners, its tokens all that their kind may hold. */
import { expect, test } from "bun:test";
import { openSqlite } from "../../base/sqlite.ts";
import { asId } from "../../wire/id.ts";
import { defaultProfile, scopesOf } from "../../wire/scope.ts";
import { migrate, migrations } from "../migrate.ts";
import { agentVerbs } from "./agents.ts";
import { profileVerbs, seedProfiles } from "./profiles.ts";
import { tokenVerbs } from "./tokens.ts";

const start = 1_800_000_000_000;

test("who made a token is known from the audit log", () => {
  const database = openSqlite({ path: ":memory:", exclusive: false });
  try {
    migrate(database, migrations.slice(0, 7));
    const token = (id: string, kind: string) =>
      database.run(
        `INSERT INTO tokens (id, hash, kind, scopes, note, created_at) VALUES ('${id}', '${id}', '${kind}', '[]', '', ${start})`,
      );
    for (const [id, kind] of [
      ["first", "operator"],
      ["made", "host"],
      ["other", "host"],
    ] as const)
      token(id, kind);
    database.run(
      `INSERT INTO audit (seq, at, kind, actor, actor_token, subject, facts, hash)
       VALUES (1, ${start}, 'token_created', 'operator', 'first', 'made', '{}', '')`,
    );
    migrate(database);
    const asked = tokenVerbs(database).revokeToken(asId("first"), start, { sparing: asId("none") });
    expect(asked?.revoked.toSorted()).toEqual([asId("first"), asId("made")]);
  } finally {
    database.close(true);
  }
});

test("the newest runner that was not revoked holds the agent, and scopes that came since are there", () => {
  const database = openSqlite({ path: ":memory:", exclusive: false });
  try {
    migrate(database, migrations.slice(0, 2));
    for (const name of ["ada", "bob", "operator"]) {
      database.run(
        `INSERT INTO agents (id, name, kind, provider, machine, profile, created_at)
         VALUES ('${name}', '${name}', '${name === "operator" ? "operator" : "agent"}', 'exec', 'mill', 'default', ${start})`,
      );
    }
    const rows: [id: string, kind: string, agent: string, at: number, revoked: string][] = [
      ["old", "runner", "ada", start, `${start}`],
      ["kept", "runner", "ada", start + 1, "NULL"],
      ["ended", "runner", "bob", start, `${start}`],
      ["person", "operator", "operator", start, "NULL"],
    ];
    for (const [id, kind, agent, at, revoked] of rows) {
      database.run(
        `INSERT INTO tokens (id, hash, kind, agent_id, scopes, note, created_at, revoked_at)
         VALUES ('${id}', 'hash of ${id}', '${kind}', '${agent}', '["agent:read"]', '', ${at}, ${revoked})`,
      );
    }
    migrate(database);
    seedProfiles(database, start);
    const tokens = tokenVerbs(database);
    const agents = agentVerbs(database, tokens);
    expect(agents.agentByName("ada")?.lease).toEqual({
      holder: asId("kept"),
      epoch: 1,
      since: start + 1,
      until: start + 1,
    });
    expect(agents.agentByName("bob")?.lease).toBeUndefined();
    expect(tokens.findToken("hash of kept", start)).toMatchObject({
      holds: true,
      scopes: scopesOf("runner"),
      profileScopes: [...defaultProfile.scopes],
    });
    expect(tokens.findToken("hash of person", start)?.scopes).toEqual(scopesOf("operator"));
    expect(profileVerbs(database).listProfiles()).toMatchObject([{ name: "default", agents: 3 }]);
  } finally {
    database.close(true);
  }
});
