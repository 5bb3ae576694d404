/** A process that writes is killed again and again: what it had acknowledged must be there, once and in order. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ScriptedRelay } from "../../test/fixtures/outbox/scripted-relay.ts";
import { needs } from "../../test/needs.ts";
import { realClock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import { realRandom } from "../base/random.ts";
import { limits } from "../limits.ts";
import { asId } from "../wire/id.ts";
import { openOutbox } from "./outbox.ts";
import { listRecords } from "./store.ts";

const writer = join(import.meta.dir, "../../test/fixtures/outbox/owner.ts");
const failingDisk = join(import.meta.dir, "../../test/fixtures/outbox/failing-disk.ts");

/** Starts the writer, kills it after about so many acknowledged writes; the complete lines it had printed. */
async function killedRun(dir: string, run: number, linesWanted: number): Promise<string[]> {
  const child = Bun.spawn([process.execPath, writer, dir, String(run)], {
    stdout: "pipe",
    stderr: "inherit",
  });
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of child.stdout) {
    text += decoder.decode(chunk, { stream: true });
    if (text.split("\n").length > linesWanted) child.kill(9);
  }
  await child.exited;
  return text.split("\n").slice(1, -1);
}

test("O14 [P2.1] [P2.3]: after five SIGKILLs all acknowledged writes are there, none twice, and go out in order", async () => {
  const dir = mkdtempSync(join(tmpdir(), "outbox-crash-"));
  try {
    const acknowledged: string[] = [];
    for (const run of [1, 2, 3, 4, 5]) acknowledged.push(...(await killedRun(dir, run, 40 + 7 * run)));
    expect(acknowledged.length).toBeGreaterThan(200);

    const kept = (await listRecords(dir, limits)).map(({ key }) => String(key));
    expect(new Set(kept).size).toBe(kept.length);
    const keys = acknowledged.map((line) => line.split(" ")[0] ?? "");
    expect(keys.filter((key) => !kept.includes(key))).toEqual([]);
    // At most the one write per run that was on its way when the kill came is there without its line.
    expect(kept.length - keys.length).toBeLessThanOrEqual(5);

    const relay = new ScriptedRelay();
    const world = { clock: realClock, random: realRandom, log: silentLog, limits, deliverer: relay };
    const outbox = await openOutbox({ ...world, dir, relayId: "relay", agentId: asId("agent") });
    expect(await outbox.drained(5_000)).toBe(true);
    await outbox.close();
    expect(new Set(relay.applied).size).toBe(kept.length);
    expect(relay.applied).toEqual(relay.applied.toSorted((a, b) => rank(a) - rank(b)));
    const texts = new Set(relay.applied);
    expect(acknowledged.map((line) => line.split(" ")[1] ?? "").filter((text) => !texts.has(text))).toEqual(
      [],
    );
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}, 30_000);

needs("prlimit")(
  "O12 O15 [P2.12]: a disk that fails refuses new writes, keeps the good ones, and the store recovers by itself",
  async () => {
    const dir = mkdtempSync(join(tmpdir(), "outbox-disk-"));
    try {
      const script = 'trap "" XFSZ; ulimit -S -f 800; exec "$0" "$@"';
      const command = ["sh", "-c", script, process.execPath, failingDisk, dir];
      const child = Bun.spawn(command, { stdout: "pipe", stderr: "inherit" });
      const told = JSON.parse(await new Response(child.stdout).text());
      expect(told.refusal).toStartWith("refused outbox_damaged: ");
      expect(told.whileFailed).toEqual(["damaged", "outbox_damaged"]);
      expect([told.after, told.drained]).toEqual(["queued", true]);
      expect(told.queued.length).toBeGreaterThan(10);
      expect(told.applied).toEqual([...told.queued, "after"]);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  },
  30_000,
);

/** `3:17` is the 17th write of the third run. */
function rank(text: string): number {
  const [run = 0, count = 0] = text.split(":").map(Number);
  return run * 1_000_000 + count;
}
