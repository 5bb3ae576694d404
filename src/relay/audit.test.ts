/** The audit log: what is written, that it is bounded and holds no secret, and that a change of it shows. */
import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunningRelay, runningRelay } from "../../test/fixtures/running-relay.ts";
import { VirtualClock } from "../base/clock.ts";
import { seededRandom } from "../base/random.ts";
import { limits } from "../limits.ts";
import { openSqliteStore } from "../store/sqlite.ts";
import { type AuditEntry, auditStart, checkAudit } from "../wire/audit.ts";
import { asId, type TokenId } from "../wire/id.ts";
import { tokenText } from "../wire/token.ts";
import { createAudit } from "./audit.ts";
import { createRefusals } from "./refusals.ts";

async function entries(relay: RunningRelay): Promise<AuditEntry[]> {
  const reply = await relay.operator.listAudit({ afterSeq: 0, limit: limits.auditPageMax });
  return reply.entries.map((entry) => ({ ...entry, at: Date.parse(entry.at) }));
}

const start = { seq: 0, hash: auditStart };

/** A store whose log has five entries, as a file that nobody has open. */
async function fiveEntries(): Promise<Disposable & { path: string }> {
  const folder = mkdtempSync(join(tmpdir(), "audit-"));
  const path = join(folder, "relay.sqlite");
  const store = await openSqliteStore({
    path,
    clock: new VirtualClock(1_800_000_000_000),
    random: seededRandom(1),
  });
  for (const subject of ["a", "b", "c", "d", "e"]) {
    await store.appendAudit([
      { kind: "setting_changed", at: 1, actor: "operator", subject, facts: { to: 1 } },
    ]);
  }
  await store.close();
  return { path, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}

async function checked(path: string) {
  const clock = new VirtualClock(1_800_000_000_000);
  const store = await openSqliteStore({ path, clock, random: seededRandom(2) });
  const all = await store.readAudit({ afterSeq: 0, limit: limits.auditPageMax });
  await store.close();
  return checkAudit(start, all);
}

describe("what is written", () => {
  test("[C.20] S17: starts, tokens and refused scopes, each with who and on what; the chain holds", async () => {
    await using relay = await runningRelay();
    const alice = await relay.enrol("alice");
    await relay
      .client(alice.token)
      .listTokens({})
      .catch(() => {});
    const log = await entries(relay);
    const kinds = log.map(({ kind }) => kind);
    expect(kinds[0]).toBe("relay_started");
    expect(log.find(({ kind }) => kind === "scope_denied")).toMatchObject({
      actor: "agent",
      actorName: "alice",
      subject: "listTokens",
    });
    expect(checkAudit(start, log)).toMatchObject({ status: "holds", seq: log.length });
  });

  test("S17: no secret and no body is in it, whatever was said and tried", async () => {
    await using relay = await runningRelay();
    const alice = await relay.enrol("alice");
    await relay.operator.sendMessage({ to: "alice", body: "the body of a message" });
    const wrong = tokenText("agent", new Uint8Array(32).fill(9));
    await relay
      .client(wrong)
      .getStatus({})
      .catch(() => {});
    await relay
      .client(alice.token)
      .listTokens({})
      .catch(() => {});
    const text = JSON.stringify(await entries(relay));
    expect(text).toContain("authentication_failed");
    for (const secret of [wrong, alice.token, alice.runnerToken, relay.operatorToken, "the body of"]) {
      expect(text).not.toContain(secret);
    }
  });

  test("texts and facts are cut, and what looks like a token is taken out", async () => {
    const clock = new VirtualClock(1_800_000_000_000);
    const store = await openSqliteStore({ path: ":memory:", clock, random: seededRandom(3) });
    const audit = createAudit({ store, clock, failed: () => {} });
    const secret = tokenText("host", new Uint8Array(32).fill(1));
    const many = Object.fromEntries(
      Array.from({ length: 40 }, (_, i) => [`f${i}`, `${secret}${"x".repeat(1_000)}`]),
    );
    await audit({ kind: "setting_changed", by: "relay", subject: `token ${secret}`, facts: many });
    const [entry] = await store.readAudit({ limit: 1 });
    await store.close();
    expect(entry?.subject).toBe("token arl_hst_[redacted]");
    expect(Object.keys(entry?.facts ?? {})).toHaveLength(limits.auditFactsMax);
    expect(JSON.stringify(entry)).not.toContain(secret.slice(8, 30));
    expect(JSON.stringify(entry).length).toBeLessThan(
      limits.auditFactsMax * (limits.auditTextMax + 20) + 500,
    );
  });

  test("only an operator reads it", async () => {
    await using relay = await runningRelay();
    const alice = await relay.enrol("alice");
    for (const client of [relay.client(alice.token), alice.runner]) {
      expect(await client.listAudit({}).catch((error: unknown) => error)).toMatchObject({
        code: "forbidden",
      });
    }
  });
});

describe("tampering", () => {
  test("[C.20] S17: an untouched log holds", async () => {
    using log = await fiveEntries();
    expect(await checked(log.path)).toMatchObject({ status: "holds", seq: 5 });
  });

  const deeds: { what: string; sql: string; broken: number }[] = [
    { what: "a changed subject", sql: "UPDATE audit SET subject = 'x' WHERE seq = 3", broken: 3 },
    { what: "a changed fact", sql: `UPDATE audit SET facts = '{"to":2}' WHERE seq = 2`, broken: 2 },
    { what: "another time", sql: "UPDATE audit SET at = 2 WHERE seq = 5", broken: 5 },
    { what: "a removed entry", sql: "DELETE FROM audit WHERE seq = 3", broken: 3 },
    { what: "a removed beginning", sql: "DELETE FROM audit WHERE seq = 1", broken: 1 },
    {
      what: "two entries that changed places",
      sql: "UPDATE audit SET seq = 90 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 90",
      broken: 2,
    },
  ];
  test.each(deeds)("[C.20] S17: $what shows at its place", async ({ sql, broken }) => {
    using log = await fiveEntries();
    const database = new Database(log.path);
    database.run("DROP TRIGGER audit_is_not_changed; DROP TRIGGER audit_is_not_removed;");
    database.run(sql);
    database.close();
    expect(await checked(log.path)).toMatchObject({ status: "broken", seq: broken });
  });

  test.each(["UPDATE audit SET subject = 'x'", "DELETE FROM audit"])(
    "the database itself refuses %s",
    async (sql) => {
      using log = await fiveEntries();
      const database = new Database(log.path);
      expect(() => database.run(sql)).toThrow("the audit log is append-only");
      database.close();
    },
  );
});

describe("refusals", () => {
  function world() {
    const clock = new VirtualClock(1_800_000_000_000);
    const written: string[] = [];
    const refusals = createRefusals({
      clock,
      audit: async ({ kind, by, subject, facts }) => {
        const who = typeof by === "string" ? by : by.agentName;
        written.push(`${kind} ${who} ${subject} ${facts?.again ?? ""}`.trim());
      },
    });
    return { clock, written, refusals };
  }
  const agent = (name: string) => ({ kind: "agent" as const, tokenId: asId<TokenId>(name), agentName: name });

  test("the first is written at once, the others of its minute as one count", () => {
    const { clock, written, refusals } = world();
    for (let i = 0; i < 1_000; i += 1) refusals.note("scope_denied", agent("alice"), "listTokens");
    refusals.note("scope_denied", agent("bob"), "listTokens");
    expect(written).toEqual(["scope_denied alice listTokens", "scope_denied bob listTokens"]);
    clock.advance(limits.auditRefusalMs);
    expect(written.slice(2)).toEqual(["scope_denied alice listTokens 999"]);
    refusals.note("scope_denied", agent("alice"), "listTokens");
    expect(written).toHaveLength(4);
  });

  test("many different ones write a bounded number of entries", async () => {
    const { written, refusals } = world();
    for (let i = 0; i < 5_000; i += 1) refusals.note("scope_denied", agent(`a${i}`), "listTokens");
    expect(written.length).toBeLessThanOrEqual(limits.auditRefusalsMax + 1);
    await refusals.close();
    expect(written.at(-1)).toBe("scope_denied nobody undefined 3999");
  });
});
