/**
 * The outage drill in 20 seconds over `agent-relay proxy`: eight official SDK clients of both eras, and an upstream that
 * is broken in every way of the table. `bench/outage.ts` plays it longer, and over the peers too.
 */
import { beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { drill } from "../../bench/outage/drill.ts";
import { schedule } from "../../bench/outage/faults.ts";
import { agentRelayPath, directPath, type PathOpener, type PathPlace } from "../../bench/outage/paths.ts";
import { type DrillReport, markdown } from "../../bench/outage/report.ts";
import { waitingClock as clock } from "../../src/base/clock.ts";

const root = resolve(import.meta.dir, "../..");
const seconds = 20;
const clients = 8;

type Play = { seconds: number; clients: number; path(place: PathPlace): PathOpener };

async function play(options: Play): Promise<DrillReport> {
  const folder = mkdtempSync(join(tmpdir(), "agent-relay-outage-"));
  try {
    return await drill({
      command: [process.execPath, join(root, "bench/outage/upstream.ts")],
      ...{ ...options, folder, clock },
      open: options.path({ folder, clock }),
      say: (line) => console.log(line),
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe("the upstream is killed, paused, broken, cutting and slow for 20 s under eight clients", () => {
  let report: DrillReport;
  let control: DrillReport;
  beforeAll(async () => {
    [report, control] = await Promise.all([
      play({ seconds, clients, path: agentRelayPath }),
      play({ seconds: 8, clients: 2, path: directPath }),
    ]);
    console.log(markdown([report]));
  }, 90_000);

  test("[P1.4] no client sees a transport error, an HTTP error or the end of a stream", () => {
    expect(report.words).toEqual([]);
    expect(report.connected).toBe(clients);
    expect(report.calls).toMatchObject({ transport: 0, protocol: 0 });
    expect(report.httpErrors).toBe(0);
    expect(report.streamsEnded).toBe(0);
    expect(report.reported).toBe(0);
  });

  test("[P1.3] no list of tools fails or lacks a tool that is there", () => {
    expect(report.lists).toMatchObject({ failed: 0, short: 0 });
    expect(report.lists.asked).toBeGreaterThan(100);
  });

  test("[P1.9] a change of the tools after it all is heard by every client on the stream it opened first", () => {
    expect(report.last.onOriginal).toBe(clients);
  });

  test("[P1.3] after every fault each client has a real result within 1 s of the upstream's return", () => {
    const late = report.faults.filter(
      ({ recovered, recoveryMs = Number.POSITIVE_INFINITY }) => recovered < clients || recoveryMs > 1_000,
    );
    expect(late).toEqual([]);
  });

  test("the faults really happened: calls were told so in words, and real ones went through", () => {
    expect(report.faults.map(({ name }) => name)).toEqual(schedule(seconds * 1_000).map(({ name }) => name));
    expect(report.calls.told).toBeGreaterThan(50);
    expect(report.calls.ok).toBeGreaterThan(200);
  });

  test("the control: without a proxy the same faults are errors of transport, and the streams end", () => {
    expect(control.connected).toBe(2);
    expect(control.calls.transport).toBeGreaterThan(10);
    expect(control.lists.failed).toBeGreaterThan(0);
    expect(control.streamsEnded).toBeGreaterThan(0);
    expect(control.last.onOriginal).toBe(0);
  });
});
