/** What people do with outboxes: over the control server, audited before it is done, told what was left alone. */
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realClock } from "../base/clock.ts";
import { realRandom } from "../base/random.ts";
import type { RecordDetail, RecordView } from "../wire/write.ts";
import { type ActionTarget, act } from "./actions.ts";
import { appendAudit, auditFileOf } from "./audit.ts";
import { checkHome } from "./checkup.ts";
import { controlPaths, startControl } from "./control.ts";
import { loadEndpointFile, saveEndpointPort } from "./endpoint-file.ts";
import { askControl } from "./local.ts";

const homes: string[] = [];
afterEach(() => {
  for (const home of homes.splice(0)) rmSync(home, { recursive: true, force: true });
});

function newHome(): string {
  const home = mkdtempSync(join(tmpdir(), "actions-"));
  homes.push(home);
  return home;
}

const record = (id: number, state: RecordView["state"]) =>
  ({ id, state, key: `key-${id}` }) as unknown as RecordView;

function target(): ActionTarget & { done: string[] } {
  const done: string[] = [];
  const records = [record(1, "queued"), record(2, "rejected"), record(3, "sent")];
  return {
    done,
    records: async () => records,
    show: async (id, { body = false } = {}) =>
      ({ ...records[id - 1], ...(body ? { arguments: { body: "secret" } } : {}) }) as unknown as RecordDetail,
    async drop(ids) {
      done.push(`drop ${ids.join()}`);
      return ids.length;
    },
    async retry(id) {
      done.push(`retry ${id}`);
      return id === 2 ? { status: "stored" } : { status: "refused", reason: "the relay has it" };
    },
    async pause(paused) {
      done.push(`pause ${paused}`);
    },
  };
}

test("each action is done to what it fits, and what it does not fit is named", async () => {
  const outbox = target();
  const audited: string[] = [];
  const audit = (action: string, keys: readonly string[]) => void audited.push([action, ...keys].join(" "));
  expect(await act(outbox, { action: "drop", ids: [1, 2, 9] }, audit)).toEqual({
    done: 1,
    refused: [
      { id: 9, reason: "there is no such record" },
      { id: 2, reason: "it is rejected" },
    ],
  });
  expect(await act(outbox, { action: "retry", ids: [2, 3] }, audit)).toEqual({
    done: 1,
    refused: [{ id: 3, reason: "the relay has it" }],
  });
  await act(outbox, { action: "pause", ids: [] }, audit);
  await act(outbox, { action: "resume", ids: [] }, audit);
  expect(outbox.done).toEqual(["drop 1", "retry 2", "retry 3", "pause true", "pause false"]);
  expect(audited).toEqual(["drop key-1 key-2", "retry key-2 key-3", "pause", "resume"]);
});

test("[P5.10] nothing is done that cannot be audited", async () => {
  const outbox = target();
  const audit = () => {
    throw new Error("the disk is full");
  };
  const refused = await act(outbox, { action: "drop", ids: [1] }, audit).catch(
    (error: Error) => error.message,
  );
  expect([refused, outbox.done]).toEqual(["the disk is full", []]);
});

test("[P5.10] the audit file is appended to, one line each, for its owner only", () => {
  const home = newHome();
  const entry = { at: "2026-11-22T20:00:00.000Z", by: "ann", pid: 7, outbox: "alice" };
  appendAudit(home, { ...entry, action: "drop", keys: ["key-1"] });
  appendAudit(home, { ...entry, action: "pause", keys: [] });
  const lines = readFileSync(auditFileOf(home), "utf8").trim().split("\n");
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    { ...entry, action: "drop", keys: ["key-1"] },
    { ...entry, action: "pause", keys: [] },
  ]);
  expect(statSync(auditFileOf(home)).mode & 0o777).toBe(0o600);
});

test("the control server serves records, figures and actions, and changes nothing by GET", async () => {
  const folder = newHome();
  const outbox = target();
  const { secret } = loadEndpointFile(folder, "control", realRandom);
  const control = startControl({
    ...{ port: 0, secret, clock: realClock },
    sources: {
      ...{ status: () => ({}), records: () => outbox.records(), metrics: async () => "depth 1\n" },
      record: (id, body) => outbox.show(id, { body }),
      act: (request) => act(outbox, request, () => {}),
    },
  });
  saveEndpointPort(folder, "control", control.port);
  const signal = () => AbortSignal.timeout(2_000);
  const query = [["action", "drop"] as const, ["id", "1"] as const];
  expect(await askControl(folder, { path: controlPaths.act, query }, signal())).toBeUndefined();
  expect(outbox.done).toEqual([]);
  const post = { path: controlPaths.act, method: "POST", query } as const;
  expect(await askControl(folder, post, signal())).toEqual({ done: 1, refused: [] });
  const show = (body: string) => ({
    path: controlPaths.record,
    query: [["id", "2"] as const, ["body", body] as const],
  });
  expect(await askControl(folder, show("0"), signal())).toEqual({ record: { ...record(2, "rejected") } });
  expect(await askControl(folder, show("1"), signal())).toMatchObject({
    record: { arguments: { body: "secret" } },
  });
  const metrics = await fetch(`${control.url}/metrics`, { headers: { Authorization: `Bearer ${secret}` } });
  expect([metrics.headers.get("content-type"), await metrics.text()]).toEqual([
    "text/plain; version=0.0.4; charset=utf-8",
    "depth 1\n",
  ]);
  control.close();
});

test("a look at a home finds files that others may read, and files that were set aside", () => {
  const home = newHome();
  writeFileSync(join(home, "outbox.sqlite.damaged-2026"), "x", { mode: 0o600 });
  writeFileSync(join(home, "outbox.sqlite.damaged-2026-wal"), "x", { mode: 0o600 });
  writeFileSync(join(home, "notes"), "x", { mode: 0o644 });
  const found = checkHome(home);
  expect(found?.open).toEqual([{ path: join(home, "notes"), mode: "644" }]);
  expect(found?.damaged).toEqual([join(home, "outbox.sqlite.damaged-2026")]);
  expect(found?.freeBytes).toBeGreaterThan(0);
  expect(checkHome(join(home, "none"))).toBeUndefined();
});
