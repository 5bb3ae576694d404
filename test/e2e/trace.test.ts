/** One trace id from the agent's call to the message: proxy, outbox, relay's log, row. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLog } from "../../src/base/log.ts";
import { startRunner } from "../../src/runner.ts";
import { databaseOf, startServer } from "../../src/server.ts";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const traceparent = `00-${traceId}-00f067aa0ba902b7-01`;

/** The value of one column in a database that nobody has open. */
function column(path: string, sql: string): unknown[] {
  const database = new Database(path, { readonly: true });
  const values = database.query(sql).values();
  database.close();
  return values.flat();
}

function outboxIn(folder: string): string {
  const found = readdirSync(folder, { recursive: true }).find((name) =>
    String(name).endsWith("outbox.sqlite"),
  );
  return join(folder, String(found));
}

/** What one agent run leaves: the lines of relay and runner, and both databases. */
async function oneWrite(environment: Record<string, string>) {
  const folder = mkdtempSync(join(tmpdir(), "trace-"));
  const lines = { relay: [] as string[], runner: [] as string[] };
  const server = await startServer({
    home: join(folder, "relay-home"),
    port: 0,
    version: "0.0.0",
    log: createLog("debug", (line) => lines.relay.push(line)),
  });
  const runner = await startRunner({
    home: join(folder, "home"),
    relayUrl: server.url,
    agentName: "alice",
    machine: "test",
    version: "0.0.0",
    provider: "exec",
    args: [process.execPath, join(import.meta.dir, "../fixtures/agents/sends-once.ts")],
    cwd: folder,
    environment: { PATH: process.env.PATH ?? "", ...environment },
    terminal: false,
    direct: false,
    takeover: false,
    enrolmentToken: () => readFileSync(server.operatorTokenFile, "utf8").trim(),
    log: createLog("debug", (line) => lines.runner.push(line)),
    say: () => {},
  });
  const ended = await runner.ended;
  await runner.close();
  await server.close();
  const traces = {
    message: column(databaseOf(join(folder, "relay-home")), "SELECT trace FROM messages"),
    outbox: column(outboxIn(join(folder, "home")), "SELECT trace FROM records"),
  };
  rmSync(folder, { recursive: true, force: true });
  return { ended, lines, traces };
}

test("[C.24] the trace of the agent's call is in the proxy's log, the outbox, the relay's log and the message", async () => {
  const { ended, lines, traces } = await oneWrite({ TRACEPARENT: traceparent });
  expect(ended).toMatchObject({ code: 0 });
  expect(lines.runner.find((line) => line.includes(traceId))).toContain("a write is taken");
  expect(traces).toEqual({ message: [traceparent], outbox: [traceparent] });
  expect(JSON.parse(lines.relay.find((line) => line.includes(traceId)) ?? "{}")).toMatchObject({
    msg: "Record",
    trace: traceId,
    outcome: "committed",
  });
  expect(lines.relay.join("")).not.toContain("hello from the agent");
}, 20_000);

test("[C.24] a write without a trace gets one of its own, the same at every hop", async () => {
  const { traces } = await oneWrite({});
  expect(traces.message).toHaveLength(1);
  expect(traces.message[0]).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  expect(traces.outbox).toEqual(traces.message);
}, 20_000);
