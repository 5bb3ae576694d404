/**
 * Disks that are full or fail, for the outbox process of a rig: a small file system that is really full, and errors
 * put into single system calls with strace. What was refused must not take effect; what was accepted must.
 */
import { describe, expect } from "bun:test";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { needs } from "../../needs.ts";
import { found, type Verdict, words } from "./checker.ts";
import { writeMany, writeOf } from "./drive.ts";
import { report } from "./figures.ts";
import { linesOf, readLedger } from "./ledger.ts";
import { Rig, type RigLane } from "./rig.ts";
import { limitMs, sizeOf } from "./sizes.ts";

/** What each refusal said, by its code. */
function refusals(lane: RigLane): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { delivery, reason = "" } of linesOf(readLedger(lane.ledgerFile), "told")) {
    if (delivery !== "refused") continue;
    const code = reason.split(":")[0] ?? "";
    counts[code] = (counts[code] ?? 0) + 1;
  }
  return counts;
}

const padding = "x".repeat(4_000);

needs(
  "unshare",
  "mount",
  "root",
  "mount namespaces",
)(
  "T11: [P2.12] a full disk refuses new writes, keeps and delivers the old ones, and takes writes again when there is room",
  async () => {
    await using rig = await Rig.open();
    const dir = join(rig.folder, "small");
    mkdirSync(dir);
    const script = 'mount -t tmpfs -o size=12m tmpfs "$0" && exec "$@"';
    const under = ["unshare", "--mount", "sh", "-c", script, dir];
    const lane = await rig.lane("lane-1", {
      under,
      dir: join(dir, "outbox"),
      limits: { writeWaitMs: 10, outboxFreeBytesMin: 65_536 },
    });
    await lane.start();
    // Its file system is seen from outside through the process.
    const inside = join("/proc", `${lane.process?.pid}`, "root", dir);
    await rig.wire.down();
    let next = 1;
    const write = () => lane.agent.tryWrite({ ...writeOf(lane, next++, { naming: "key" }), padding });
    for (let n = 0; n < 20; n++) await write();
    fill(join(inside, "filler"));
    const refused: string[] = [];
    for (let tries = 0; refused.length < sizeOf("T11") && tries < 5_000; tries++) {
      const told = await write();
      if (told?.delivery === "refused") refused.push(told.reason?.split(":")[0] ?? "");
    }
    await rig.wire.up();
    await lane.ask("/kick");
    await lane.until("nothing waits", ({ depth }) => depth === 0);
    const drained = rig.wire.counts.records;
    rmSync(join(inside, "filler"));
    const end = performance.now() + 10_000;
    let after = await write();
    while (after?.delivery === "refused" && performance.now() < end) after = await write();
    const codes = refusals(lane);
    const verdict = await rig.judge();
    report("T11", "a full disk", { figures: { ...codes, "delivered while full": drained }, verdict });
    expect(words(verdict)).toEqual([]);
    expect(found(verdict)).toEqual({});
    expect(refused.length).toBe(sizeOf("T11"));
    expect(["queued", "sent"]).toContain(after?.delivery ?? "");
  },
  limitMs,
);

/** Fills the file system to its last page. */
function fill(path: string): void {
  for (let size = 12 * 1_024 * 1_024; size >= 512; size = Math.floor(size / 2)) {
    try {
      writeFileSync(`${path}`, Buffer.alloc(size), { flag: "a" });
    } catch {
      // No room for that much; for half of it perhaps.
    }
  }
}

/** One kind of error in one kind of system call on the outbox's files. */
type Injection = { calls: string; error: string; when: string; more?: readonly string[] };

/** An outbox process under strace, whose agent writes on while calls fail; then without strace. */
async function failing({ calls, error, when, more = [] }: Injection, count: number) {
  await using rig = await Rig.open();
  const trace = join(rig.folder, "strace.txt");
  const dir = join(rig.folder, "lane-1", "outbox");
  const files = ["outbox.sqlite", "outbox.sqlite-wal"].flatMap((name) => ["-P", join(dir, name)]);
  const lane = await rig.lane("lane-1", { dir, limits: { writeWaitMs: 60 } });
  // The files must be there before strace can watch their paths.
  await lane.start();
  await writeMany(lane, { count: 5, window: 1, naming: "key" });
  await lane.process?.stop();
  const inject = `inject=${calls}:error=${error}:when=${when}`;
  const under = [
    "strace",
    "-f",
    "-qq",
    ...files,
    "-e",
    `trace=${calls}${more.length > 0 ? ",openat" : ""}`,
    "-e",
    inject,
    ...more,
    "-e",
    "signal=none",
  ];
  await lane.start(undefined, { under: [...under, "-o", trace] });
  let next = 6;
  const failures = async () => (await Bun.file(trace).text()).split("(INJECTED)").length - 1;
  const end = performance.now() + 30_000;
  while ((await failures()) < count && performance.now() < end) {
    await lane.agent.tryWrite(writeOf(lane, next++, { naming: "key" }));
    // The outbox reopens its file after a failure; calls made meanwhile are refused, which proves nothing more.
    while ((await lane.ask()).state === "damaged" && performance.now() < end) await Bun.sleep(2);
  }
  const injected = await failures();
  await lane.process?.stop();
  const codes = refusals(lane);
  const verdict = await rig.judge();
  return { injected, codes, verdict };
}

function expectClean(verdict: Verdict): void {
  expect(words(verdict)).toEqual([]);
  expect(found(verdict)).toEqual({});
}

describe("T12: [P2.12] syncs, writes and reads that fail", () => {
  const third = () => Math.ceil(sizeOf("T12") / 3);
  needs("strace")(
    "EIO of a sync: the call is refused, the file opened again, nothing acknowledged is lost",
    async () => {
      const { injected, codes, verdict } = await failing(
        { calls: "fsync,fdatasync", error: "EIO", when: "8+9" },
        third(),
      );
      report("T12", "EIO of a sync", { figures: { injected, ...codes }, verdict });
      expectClean(verdict);
      expect(injected).toBeGreaterThanOrEqual(third());
    },
    limitMs,
  );

  needs("strace")(
    "EIO of a write",
    async () => {
      const { injected, codes, verdict } = await failing(
        { calls: "pwrite64", error: "EIO", when: "20+37" },
        third(),
      );
      report("T12", "EIO of a write", { figures: { injected, ...codes }, verdict });
      expectClean(verdict);
      expect(injected).toBeGreaterThanOrEqual(third());
    },
    limitMs,
  );

  needs("strace")(
    "EIO of a read",
    async () => {
      const { injected, codes, verdict } = await failing(
        { calls: "pread64", error: "EIO", when: "20+7" },
        third(),
      );
      report("T12", "EIO of a read", { figures: { injected, ...codes }, verdict });
      expectClean(verdict);
      expect(injected).toBeGreaterThanOrEqual(third());
    },
    limitMs,
  );
});

describe("T13: [P2.12] other failures of the disk", () => {
  needs("strace")(
    "ENOSPC, EROFS, EDQUOT and ENOMEM of a write: refused with a reason",
    async () => {
      const each = Math.ceil(sizeOf("T13") / 4);
      let refused = 0;
      for (const error of ["ENOSPC", "EROFS", "EDQUOT", "ENOMEM"]) {
        const { injected, codes, verdict } = await failing({ calls: "pwrite64", error, when: "20+23" }, each);
        report("T13", `${error} of a write`, { figures: { injected, ...codes }, verdict });
        expectClean(verdict);
        expect(injected).toBeGreaterThanOrEqual(each);
        refused += Object.values(codes).reduce((sum, count) => sum + count, 0);
      }
      // Some failures strike writes that no call waits for; among four kinds there are always some that one does.
      expect(refused).toBeGreaterThan(0);
    },
    limitMs,
  );

  needs("strace")(
    "EMFILE when the file is opened again after a failure: refused until it can be, and nothing is lost",
    async () => {
      const more = ["-e", "inject=openat:error=EMFILE:when=3..6"];
      const faults = { calls: "fsync,fdatasync", error: "EIO", when: "12", more };
      const { injected, codes, verdict } = await failing(faults, 5);
      report("T13", "EMFILE of an opening", { figures: { injected, ...codes }, verdict });
      expectClean(verdict);
      expect(injected).toBeGreaterThanOrEqual(5);
    },
    limitMs,
  );
});
