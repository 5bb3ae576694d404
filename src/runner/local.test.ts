/** The places of a home, and what their owners tell. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realClock } from "../base/clock.ts";
import { realRandom } from "../base/random.ts";
import { type AgentId, asId, type RelayId } from "../wire/id.ts";
import type { RecordView } from "../wire/write.ts";
import { type ControlServer, controlPaths, startControl } from "./control.ts";
import { saveCredential } from "./credential.ts";
import { loadEndpointFile, saveEndpointPort } from "./endpoint-file.ts";
import { askControl, localPlaces, ownedRecords } from "./local.ts";

const relayId = asId<RelayId>("00000000-0000-7000-8000-00000000000a");
const agentId = asId<AgentId>("00000000-0000-7000-8000-000000000001");
const record = { id: 1 } as unknown as RecordView;
const closers: (() => void)[] = [];
let home = "";
let folder = "";
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "local-"));
  folder = join(home, "agent");
});
afterEach(() => {
  for (const close of closers.splice(0)) close();
  rmSync(home, { recursive: true, force: true });
});

const signal = () => AbortSignal.timeout(2_000);

function serve(): ControlServer {
  const { secret } = loadEndpointFile(folder, "control", realRandom);
  const control = startControl({
    port: 0,
    secret,
    clock: realClock,
    sources: { status: () => ({ agent: "alice" }), records: async () => [record] },
  });
  closers.push(control.close);
  saveEndpointPort(folder, "control", control.port);
  return control;
}

/** Another program at the port that the file names. */
function serveOther(answer: () => Response): void {
  loadEndpointFile(folder, "control", realRandom);
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: answer });
  closers.push(() => void server.stop(true));
  saveEndpointPort(folder, "control", server.port ?? 0);
}

test("places are the enrolled agents and the proxies; who was never accepted is none", () => {
  expect(localPlaces(home)).toEqual([]);
  const common = { relayUrl: "http://127.0.0.1:1", relayId, secret: "s" };
  saveCredential(home, { ...common, agentName: "alice", agentId });
  saveCredential(home, { ...common, agentName: "pending" });
  mkdirSync(join(home, "proxies", "0123"), { recursive: true });
  const ofAgent = join(home, "runners", relayId, agentId);
  const ofProxy = join(home, "proxies", "0123");
  expect(localPlaces(home)).toEqual([
    { name: "alice", kind: "agent", folder: ofAgent, outbox: join(ofAgent, "outbox") },
    { name: "0123", kind: "proxy", folder: ofProxy, outbox: join(ofProxy, "outbox") },
  ]);
});

describe("asking the owner", () => {
  test("gives what it tells", async () => {
    serve();
    expect(await askControl(folder, controlPaths.status, signal())).toEqual({ agent: "alice" });
    expect(await ownedRecords(folder, signal())).toEqual([record]);
  });

  test("of a place where nobody ever ran, or does no more, gives nothing", async () => {
    expect(await askControl(folder, controlPaths.status, signal())).toBeUndefined();
    serve().close();
    expect(await ownedRecords(folder, signal())).toBeUndefined();
  });

  const others: [string, () => Response][] = [
    ["refuses", () => new Response("no", { status: 401 })],
    ["answers with a page", () => new Response("<html>")],
    ["sends elsewhere", () => Response.redirect("http://127.0.0.1:1/")],
  ];
  test.each(others)("gives nothing when another program at the port %s", async (_, answer) => {
    serveOther(answer);
    expect(await askControl(folder, controlPaths.status, signal())).toBeUndefined();
  });

  test("gives nothing when the file of the port is damaged", async () => {
    serve();
    writeFileSync(join(folder, "control.json"), "{");
    expect(await askControl(folder, controlPaths.status, signal())).toBeUndefined();
  });

  test("does not use a secret that others may read", async () => {
    serve();
    chmodSync(join(folder, "control.secret"), 0o644);
    await expect(askControl(folder, controlPaths.status, signal())).rejects.toThrow("others may read it");
  });
});
