/** What is kept of a session, what goes on after a crash, and the analysis at its end. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog } from "../base/log.ts";
import { seededRandom } from "../base/random.ts";
import { RelayError } from "../wire/error.ts";
import { insightFacts } from "../wire/insight.ts";
import { analysisOf, insightReporter } from "./analysis.ts";
import { conversationToResume, readSessionFile, type SessionFile, writeSessionFile } from "./session-file.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "agent-relay-session-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const session: SessionFile = {
  provider: "claude",
  cwd: "/work",
  conversation: { id: "c1", transcript: "/t.jsonl" },
  startedAt: "2026-01-01T00:00:00.000Z",
  state: "idle",
  lastTurn: { text: "the last words", how: "completed" },
  figures: {
    ...{ starts: 1, turns: 2, turnsFailed: 0, turnsInterrupted: 1, toolCalls: 3, toolsFailed: 1 },
    ...{ approvals: 0, troubles: 0, busyMs: 1234.5, tools: { Bash: 3 } },
  },
};

test("it is private, and read as it was written; a damaged one is none", () => {
  writeSessionFile(folder, session);
  expect(readSessionFile(folder)).toEqual(session);
  expect(statSync(join(folder, "session.json")).mode & 0o777).toBe(0o600);
  writeFileSync(join(folder, "session.json"), "{", { mode: 0o600 });
  expect(readSessionFile(folder)).toBeUndefined();
  expect(readSessionFile(join(folder, "none"))).toBeUndefined();
});

const here = { provider: "claude", cwd: "/work" };
const rows: [string, SessionFile | undefined, typeof here, string | undefined][] = [
  ["a killed one goes on", session, here, "c1"],
  ["one that ended in order does not", { ...session, endedAt: session.startedAt }, here, undefined],
  ["another folder's does not", session, { ...here, cwd: "/other" }, undefined],
  ["another provider's does not", session, { ...here, provider: "codex" }, undefined],
  ["none", undefined, here, undefined],
];
test.each(rows)("resume: %s", (_, found, now, id) => {
  expect(conversationToResume(found, now)?.id).toBe(id);
});

test("the analysis has figures and no words of anybody, and is an insight that the relay takes", () => {
  const facts = analysisOf({ ...session, cause: "stopped" }, Date.parse(session.startedAt) + 5_000);
  expect(facts).toMatchObject({ cause: "stopped", durationMs: 5_000, turns: 2, tools: { Bash: 3 } });
  expect(JSON.stringify(facts)).not.toContain("the last words");
  expect(insightFacts.safeParse(facts).success).toBe(true);
});

test("an insight whose kind is switched off is final, any other failure is not", async () => {
  const asked: string[] = [];
  let error: Error = new Error("down");
  const insights = insightReporter({
    async send({ kind }) {
      asked.push(kind);
      throw error;
    },
    now: () => 0,
    randomBytes: seededRandom(1).bytes,
    log: silentLog,
  });
  await insights.report("hook_crashed", {});
  error = new RelayError("feature_disabled", "switched off");
  await insights.report("hook_crashed", {});
  await insights.report("hook_crashed", {});
  await insights.report("crash_loop", {});
  expect(asked).toEqual(["hook_crashed", "hook_crashed", "crash_loop"]);
});
