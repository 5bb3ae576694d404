/**
 * Loss of power and damage of the outbox's files, without special kernels: images of the disk are made from a
 * recording and opened with the product. What was acknowledged must be there, or its loss must be told.
 */
import { afterAll, beforeAll, expect } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realClock } from "../../../src/base/clock.ts";
import { silentLog } from "../../../src/base/log.ts";
import { type Random, realRandom, seededRandom } from "../../../src/base/random.ts";
import { limits } from "../../../src/limits.ts";
import { OutboxUnusableError, openOutbox } from "../../../src/outbox/outbox.ts";
import { asId } from "../../../src/wire/id.ts";
import { ScriptedRelay } from "../../fixtures/outbox/scripted-relay.ts";
import { needs } from "../../needs.ts";
import { report } from "./figures.ts";
import { lazySyncVariable } from "./points.ts";
import {
  Disk,
  type DiskEvent,
  type Loss,
  losses,
  parseTrace,
  sectorBytes,
  straceOptions,
  writeImage,
} from "./power.ts";
import { limitMs, seed, sizeOf } from "./sizes.ts";

const writes = 240;
/** Writes of the recording, one after the other and each with a flush, that fit into the time of the high-water mark. */
const unmarkedMax = 12;
const folder = mkdtempSync(join(tmpdir(), "agent-relay-power-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Records a writing process; the operations on its folder. */
async function record(name: string, environment: Record<string, string> = {}): Promise<DiskEvent[]> {
  const dir = join(folder, name);
  mkdirSync(dir, { mode: 0o700 });
  const trace = join(folder, `${name}.strace`);
  const writer = join(import.meta.dir, "power-writer.ts");
  const command = ["strace", ...straceOptions, "-o", trace, process.execPath, writer, dir, `${writes}`];
  const child = Bun.spawn(command, {
    stdout: "ignore",
    stderr: "inherit",
    env: { ...process.env, ...environment },
  });
  await child.exited;
  return parseTrace(readFileSync(trace, "latin1"), dir);
}

/**
 * `applied`: keys that the relay had taken by then; losing their rows loses nothing. `marked`: acknowledged keys that the
 * high-water mark knows: it is written right after the answers, and flushed a moment later.
 */
type Image = {
  files: Map<string, Buffer>;
  loss: Loss;
  acked: ReadonlySet<string>;
  marked: ReadonlySet<string>;
  applied: ReadonlySet<string>;
};

/** Images at random moments of a recording, with each kind of loss in turn. */
function* imagesOf(
  events: readonly DiskEvent[],
  count: number,
  random: Random,
  kinds: readonly Loss[] = losses,
): Generator<Image> {
  const moments = Array.from({ length: count }, () => Math.floor(random.fraction() * events.length));
  moments.sort((a, b) => a - b);
  const disk = new Disk();
  const acked = new Set<string>();
  const applied = new Set<string>();
  let written = new Set<string>();
  let flushed = new Set<string>();
  let done = 0;
  for (const [index, moment] of moments.entries()) {
    for (const event of events.slice(done, moment)) {
      disk.apply(event);
      const ofMarks = event.path.startsWith("outbox/outbox.marks");
      if (ofMarks && event.type === "write") written = new Set(acked);
      if (ofMarks && event.type === "sync") flushed = written;
      if (event.type !== "write" || event.path !== "acks") continue;
      const [key = "", delivery] = event.data.toString().trim().split(" ");
      if (delivery === "sent" || delivery === "queued") acked.add(key);
      if (delivery === "applied") applied.add(key);
    }
    done = moment;
    const loss = kinds[index % kinds.length] ?? "all";
    const files = disk.image(random, loss);
    files.delete("acks");
    const marked = loss === "none" ? written : flushed;
    yield { files, loss, acked: new Set(acked), marked, applied: new Set(applied) };
  }
}

type Opened = {
  /**
   * Acknowledged keys that are not there after the second start, those of them the relay had not taken, and of these the
   * ones that the high-water mark knew.
   */
  missing: string[];
  lost: string[];
  owed: string[];
  /** A notice speaks of damage, or the opening was refused with the reason. */
  told: boolean;
  /** It takes writes after the second start. */
  takes: boolean;
};

/** One start: what is there, what is told, whether it takes a write. */
async function startOnce(dir: string): Promise<{ keys: Set<string>; told: boolean; takes: boolean }> {
  const relay = new ScriptedRelay();
  relay.up = false;
  const world = { clock: realClock, random: realRandom, log: silentLog, limits, deliverer: relay };
  const options = { ...world, dir, relayId: "relay", agentId: asId<never>("agent") };
  const outbox = await openOutbox(options);
  try {
    const records = await outbox.records({ limit: 100_000 }).catch(() => []);
    const told = outbox.notices().some(({ reason }) => reason === "damaged");
    const call = { tool: "relay_send_message", callId: undefined, key: undefined, session: "s" };
    const after = await outbox.write({ ...call, arguments: { to: "bob", body: "after" } }, 0);
    const takes = after.receipt.delivery === "queued";
    return { keys: new Set(records.map(({ key }) => String(key))), told, takes };
  } finally {
    await outbox.close();
  }
}

/** Opens an image with the product, twice: what the first start runs into, the second one has dealt with. */
async function open(image: Image, name: string): Promise<Opened> {
  const dir = join(folder, name);
  writeImage(dir, image.files);
  let opened: Opened = { missing: [], lost: [], owed: [], told: false, takes: false };
  for (const _start of [1, 2]) {
    try {
      const { keys, told, takes } = await startOnce(join(dir, "outbox"));
      const missing = [...image.acked].filter((key) => !keys.has(key));
      const lost = missing.filter((key) => !image.applied.has(key));
      const owed = lost.filter((key) => image.marked.has(key));
      opened = { missing, lost, owed, told: told || opened.told, takes };
    } catch (error) {
      if (!(error instanceof OutboxUnusableError)) throw error;
      const all = [...image.acked];
      opened = { missing: all, lost: all, owed: all, told: true, takes: false };
    }
  }
  rmSync(dir, { recursive: true, force: true });
  return opened;
}

type Counted = Opened & { acked: number; unmarked: number; loss: Loss };

async function openAll(images: Iterable<Image>): Promise<Counted[]> {
  const all: Counted[] = [];
  for (const image of images) {
    const opened = await open(image, `image-${all.length}`);
    const unmarked = image.acked.size - image.marked.size;
    all.push({ ...opened, acked: image.acked.size, unmarked, loss: image.loss });
  }
  return all;
}

let full: DiskEvent[] = [];
let normal: DiskEvent[] = [];
beforeAll(async () => {
  if (Bun.which("strace") === null) return;
  full = await record("full");
  normal = await record("normal", { [lazySyncVariable]: "1" });
}, limitMs);

needs("strace")(
  "T9: [P2.1] after a loss of power at any moment every acknowledged write is there",
  async () => {
    const opened = await openAll(imagesOf(full, sizeOf("T9"), seededRandom(seed)));
    const missing = opened.reduce((sum, { missing: keys }) => sum + keys.length, 0);
    const acked = opened.reduce((sum, one) => sum + one.acked, 0);
    const syncs = full.filter(({ type }) => type === "sync").length;
    const told = opened.filter((one) => one.told).length;
    report("T9", "loss of power, replayed", {
      figures: {
        images: opened.length,
        operations: full.length,
        syncs,
        acked,
        missing,
        "reported as damage": told,
      },
    });
    expect(syncs).toBeGreaterThan(writes / 2);
    expect(acked).toBeGreaterThan(opened.length * 20);
    expect(missing).toBe(0);
    expect(opened.filter(({ takes }) => !takes)).toEqual([]);
  },
  limitMs,
);

needs("strace")(
  "T9 control: with synchronous=NORMAL the same images miss acknowledged writes",
  async () => {
    const opened = await openAll(imagesOf(normal, Math.min(60, sizeOf("T9")), seededRandom(seed)));
    const missing = opened.filter(({ missing: keys }) => keys.length > 0);
    report("control", "synchronous=NORMAL and a loss of power", {
      figures: { images: opened.length, "images with losses": missing.length },
    });
    expect(missing.length).toBeGreaterThanOrEqual(Math.ceil(opened.length / 10));
  },
  limitMs,
);

/** The share of damages that go to the database and its log; the files beside them are few and small. */
const onRecords = 0.8;

/** Cuts a file's end, flips some of its bits or fills some of its sectors with noise. */
function damage(files: Map<string, Buffer>, random: Random): void {
  const between = (low: number, high: number) => low + Math.floor(random.fraction() * (high - low));
  const all = [...files.keys()].filter((path) => (files.get(path)?.length ?? 0) > 0);
  const ofRecords = all.filter((path) => path.includes(".sqlite"));
  const paths = random.fraction() < onRecords && ofRecords.length > 0 ? ofRecords : all;
  const path = paths[between(0, paths.length)];
  if (path === undefined) return;
  const bytes = Buffer.from(files.get(path) ?? Buffer.alloc(0));
  const kind = random.fraction();
  if (kind < 0.3) {
    files.set(path, bytes.subarray(0, between(0, bytes.length)));
    return;
  }
  for (let places = between(1, 5); places > 0; places--) {
    const at = between(0, bytes.length);
    if (kind < 0.6) bytes[at] = (bytes[at] ?? 0) ^ (1 << between(0, 8));
    else bytes.set(random.bytes(Math.min(sectorBytes, bytes.length - at)), at);
  }
  files.set(path, bytes);
}

/** One after another: all of them at once would not fit into memory. */
function* damaged(images: Iterable<Image>, random: Random): Generator<Image> {
  for (const image of images) {
    damage(image.files, random);
    yield image;
  }
}

needs("strace")(
  "T10: [P2.12] flipped bits, noise and cut files: it opens or says why not, and no loss is silent",
  async () => {
    const random = seededRandom(seed + 1);
    const images = imagesOf(full, sizeOf("T10"), random, ["none", ...losses]);
    const opened = await openAll(damaged(images, random));
    const count = (holds: (one: Opened) => boolean) => opened.filter(holds).length;
    const silent = opened.filter(({ owed, told }) => owed.length > 0 && !told);
    const unnoticed = opened.filter(({ lost, owed, told }) => lost.length > owed.length && !told);
    report("T10", "flipped bits, noise and cut files", {
      figures: {
        images: opened.length,
        "without loss": count(({ lost }) => lost.length === 0),
        "with a loss that is told": count(({ lost, told }) => lost.length > 0 && told),
        "silent losses": silent.length,
        "silent losses of the last moment before the end": unnoticed.length,
        "reported as damage": count(({ told }) => told),
      },
    });
    expect(silent).toEqual([]);
    // Of what is acknowledged all but the writes of a moment are owed: else nothing would be asked of the mark.
    const unmarked = (kinds: readonly Loss[]) =>
      Math.max(...opened.filter(({ loss }) => kinds.includes(loss)).map((one) => one.unmarked));
    expect(unmarked(["none"])).toBeLessThanOrEqual(2);
    expect(unmarked(losses)).toBeLessThanOrEqual(unmarkedMax);
    expect(opened.filter(({ takes }) => !takes)).toEqual([]);
    // Else the damage was too little to say anything.
    expect(count(({ told }) => told)).toBeGreaterThan(opened.length / 10);
    expect(readdirSync(folder).filter((name) => name.startsWith("image-"))).toEqual([]);
  },
  limitMs,
);
