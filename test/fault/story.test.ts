/**
 * The demo's story as a test, with a proxy between runners and relay that loses answers after the relay committed,
 * and with a token scan over every process, log and home for as long as it lasts. The control plays a sender that
 * mints a key per attempt: then the same judge must report doubled messages.
 */
import { beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Moment, playStory, type StoryResult } from "../../examples/demo/story.ts";
import { type Clock, realClock } from "../../src/base/clock.ts";
import { realRandom, seededRandom } from "../../src/base/random.ts";
import { tokenText } from "../../src/wire/token.ts";
import { needs } from "../needs.ts";
import { type FaultProxy, type KeyMode, startFaultProxy } from "./fault-proxy.ts";
import { Scanner } from "./scan.ts";

/** `AGENT_RELAY_TEST_SEED` plays the same chances again; the order of events still depends on the machine. */
const seed = Number(process.env.AGENT_RELAY_TEST_SEED ?? Date.now() % 1_000_000);
const testMs = 120_000;
const scanMs = 300;

/** Timers that keep a test alive. */
const clock: Clock = {
  ...realClock,
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

type Played = StoryResult & { counts: FaultProxy["counts"]; scan: Scanner };

/** What happened in numbers, for whoever reads the test's output. */
function summary({ verdict, counts, scan, outageCalls }: Played): string {
  const doubled = verdict.flows.reduce((sum, flow) => sum + flow.doubled, 0);
  const { passes, processes, files, tokens } = scan.seen;
  return [
    `${counts.deliveries} deliveries, ${counts.dropped} answers dropped after the commit (${counts.droppedRecords} records)`,
    `${outageCalls} calls in the outage, ${doubled} doubled`,
    `${passes} scans of ${processes} processes and ${files} files for ${tokens} tokens, ${scan.finds.length} finds`,
  ].join("; ");
}

type PlayOptions = { count: number; killRunner: boolean; keys: KeyMode; canary?: boolean };

/** A made-up token in a log of the story's folder and in the environment of a process of the story. */
function plantCanary(folder: string) {
  const token = tokenText("agent", realRandom.bytes(32));
  writeFileSync(join(folder, "canary.log"), `{"level":"info","msg":"started with ${token}"}\n`);
  return Bun.spawn(["sh", "-c", "read -r line"], {
    env: { PATH: process.env.PATH, AGENT_RELAY_TOKEN: token },
    stdin: "pipe",
    stdout: "ignore",
    stderr: "ignore",
  });
}

async function play(options: PlayOptions): Promise<Played> {
  const folder = mkdtempSync(join(tmpdir(), "agent-relay-story-"));
  const owns = (path: string) => /operator\.token|runners\/[0-9a-f-]{36}\/(?:alice|bob)\.json/.test(path);
  const scan = new Scanner({ pid: process.pid, folders: [folder], owns });
  const told: string[] = [`seed ${seed}`];
  const canary = options.canary === true ? plantCanary(folder) : undefined;
  const scanning = setInterval(() => scan.pass(), scanMs);
  // The relay's address is known only once it is up, so the way through the proxy is laid from inside the story.
  let proxy: FaultProxy | undefined;
  try {
    const result = await playStory({
      ...options,
      folder,
      paceMs: 30,
      environment: process.env,
      clock,
      signal: new AbortController().signal,
      report: ({ atMs, text }: Moment) => void told.push(`${(atMs / 1000).toFixed(1)} s ${text}`),
      gate: async (upstream) => {
        proxy = await startFaultProxy({
          upstream,
          dropRate: 0.1,
          keys: options.keys,
          random: seededRandom(seed),
        });
        return proxy.url;
      },
    });
    scan.pass(true);
    scan.text("the story's own words", JSON.stringify([told, result]));
    const counts = proxy?.counts ?? { deliveries: 0, dropped: 0, droppedRecords: 0 };
    told.push(summary({ ...result, scan, counts }));
    return { ...result, scan, counts };
  } finally {
    console.log(told.filter((line) => !line.endsWith(" s ")).join("\n"));
    clearInterval(scanning);
    canary?.kill("SIGKILL");
    proxy?.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

describe("300 messages each way, relay and a runner killed, a tenth of the answers lost after the commit", () => {
  let played: Played;
  beforeAll(async () => {
    played = await play({ count: 300, killRunner: true, keys: "stable" });
  }, testMs);

  test("[P2.3] [P2.4] [P2.5] [P2.6] [P2.15] all sent, committed and read; nothing lost, doubled, out of order, invented or untrue", () => {
    const clean = { sent: 300, committed: 300, read: 300, lost: 0, doubled: 0, outOfOrder: 0 };
    expect(played.verdict.flows).toEqual([
      { from: "alice", to: "bob", ...clean, phantom: 0, untrue: 0 },
      { from: "bob", to: "alice", ...clean, phantom: 0, untrue: 0 },
    ]);
    expect(played.verdict.faults).toEqual([]);
  });

  test("answers really were lost after the commit, and calls in flight really were cut", () => {
    expect(played.counts.dropped).toBeGreaterThanOrEqual(10);
    const inFlight = played.kills.flatMap(({ inFlight }) =>
      Object.values(inFlight).map(({ length }) => length),
    );
    expect(inFlight).toHaveLength(3);
    expect(Math.min(...inFlight)).toBeGreaterThanOrEqual(1);
  });

  test("[P1.3] no call ended in a transport error but those under the killed runner", () => {
    expect(played.verdict.conduct.map(({ name, faults }) => ({ name, faults }))).toEqual([
      { name: "alice", faults: [] },
      { name: "bob", faults: [] },
    ]);
    expect(played.verdict.conduct.map(({ starts }) => starts)).toEqual([1, 2]);
  });

  test("[P5.2] at least 80 calls fell into the outage; each was told queued, in the form the SDK client checks", () => {
    const calls = played.verdict.conduct.map(({ outageCalls }) => outageCalls);
    expect(calls.reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(80);
    expect(played.verdict.conduct.map(({ outageQueued }) => outageQueued)).toEqual(calls);
    expect(played.verdict.conduct.map(({ sentInOutage, unchecked }) => [sentInOutage, unchecked])).toEqual([
      [0, 0],
      [0, 0],
    ]);
  });

  test("[P1.7] both eras were spoken", () => {
    expect(played.verdict.conduct.map(({ protocol }) => protocol)).toEqual(["2025-11-25", "2026-07-28"]);
  });

  needs("proc")(
    "[P4.1] [P4.2] no relay token in any environment, argument, log or file but those that own them",
    () => {
      expect(played.scan.finds).toEqual([]);
      // Relay twice, runner three times, agent three times, and the readers of the inboxes; operator, runner and agent tokens.
      expect(played.scan.seen.processes).toBeGreaterThanOrEqual(8);
      expect(played.scan.seen.tokens).toBeGreaterThanOrEqual(5);
      expect(played.scan.seen.files).toBeGreaterThan(10);
    },
  );
});

describe("the control: the same story with a key per attempt and a planted token", () => {
  let played: Played;
  beforeAll(async () => {
    played = await play({ count: 300, killRunner: false, keys: "key-per-attempt", canary: true });
  }, testMs);

  test("the judge reports at least 10 doubled, and nothing lost", () => {
    const doubled = played.verdict.flows.reduce((sum, flow) => sum + flow.doubled, 0);
    expect(doubled).toBeGreaterThanOrEqual(10);
    expect(played.verdict.flows.map(({ lost }) => lost)).toEqual([0, 0]);
    expect(played.verdict.ok).toBe(false);
  });

  needs("proc")("the scan finds the planted token in the environment and in the log, and no other", () => {
    expect(played.scan.finds.map(({ place, subject }) => [place, subject.replace(/\d+|.*\//g, "")])).toEqual([
      ["environ", "sh "],
      ["file", "canary.log"],
    ]);
  });
});
