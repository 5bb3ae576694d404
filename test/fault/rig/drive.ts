/** How the rig's agents write, and how its processes are killed at their points again and again. */
import type { Random } from "../../../src/base/random.ts";
import type { Write } from "./agent.ts";
import { readLedger } from "./ledger.ts";
import type { Crash, PointName, SqlPointName } from "./points.ts";
import type { Rig, RigLane } from "./rig.ts";

export type Naming = "key" | "call-id" | "none";

/** The next write of a lane, named as the naming says. */
export function writeOf(lane: RigLane, n: number, options: { to?: string; naming?: Naming } = {}): Write {
  const { to = "sink-1", naming = n % 2 === 0 ? "key" : "call-id" } = options;
  const name = `${lane.name}-write-${n}`;
  return {
    n,
    to,
    ...(naming === "key" ? { key: name } : {}),
    ...(naming === "call-id" ? { callId: name } : {}),
  };
}

/** Several writers of one lane, until so many writes were made or the signal aborts. */
export async function writeMany(
  lane: RigLane,
  options: {
    count: number;
    window: number;
    to?: string;
    naming?: Naming;
    from?: number;
    signal?: AbortSignal;
  },
): Promise<number[]> {
  let next = options.from ?? 1;
  const end = next + options.count;
  const took: number[] = [];
  const work = async () => {
    while (next < end && options.signal?.aborted !== true) {
      const told = await lane.agent.write(writeOf(lane, next++, options));
      if (told !== undefined) took.push(told.tookMs);
    }
  };
  await Promise.all(Array.from({ length: options.window }, work));
  return took;
}

/** A process must have died of its crash by then, ms. */
const crashMs = 15_000;

/** Tries more in a checkpoint: in a few of a hundred it is over before the kill comes, and then that was no hit. */
const checkpointsMissed = 5;

/** Kills a lane's process at each of the points so many times, in a random order, while its agent writes on. */
export async function killLane(
  rig: Rig,
  lane: RigLane,
  options: { points: readonly PointName[]; times: number; random: Random },
): Promise<void> {
  const { random, times } = options;
  const plan = options.points.flatMap((point) => {
    const length = point === "mid-checkpoint" ? times + checkpointsMissed : times;
    return Array.from({ length }, () => point);
  });
  const stop = new AbortController();
  const writing = writeMany(lane, { count: 1_000_000, window: 2, signal: stop.signal });
  try {
    while (plan.length > 0) {
      const [point] = plan.splice(Math.floor(random.fraction() * plan.length), 1);
      if (point === undefined) break;
      if (point === "after-reply") await killAfterReply(rig, lane, random);
      else await killAt(lane, { point, nth: nthFor(point, random), hits: rig.hitsFile });
    }
    await lane.start();
  } finally {
    stop.abort();
  }
  await writing;
}

function nthFor(point: Crash["point"], random: Random): number {
  return point === "mid-open" ? 1 : 1 + Math.floor(random.fraction() * 5);
}

async function killAt(lane: RigLane, crash: Crash): Promise<void> {
  const started = await lane.start(crash);
  if (started === undefined) return;
  const died = await Promise.race([started.ended.then(() => true), Bun.sleep(crashMs).then(() => false)]);
  if (!died) throw new Error(`Kill ${lane.name} at ${crash.point}: it was never there within ${crashMs} ms`);
}

async function killAfterReply(rig: Rig, lane: RigLane, random: Random): Promise<void> {
  const started = await lane.start();
  const wanted = lane.agent.toldCount + 1 + Math.floor(random.fraction() * 4);
  const end = performance.now() + crashMs;
  while (lane.agent.toldCount < wanted) {
    if (performance.now() > end)
      throw new Error(`Kill ${lane.name} after a reply: none came in ${crashMs} ms`);
    await Bun.sleep(1);
  }
  await started?.kill();
  rig.hit("after-reply");
}

/** Kills the relay at each of the points so many times, while the agents write on. */
export async function killRelay(
  rig: Rig,
  options: { points: readonly SqlPointName[]; times: number; random: Random },
): Promise<void> {
  const plan = options.points.flatMap((point) => Array.from({ length: options.times }, () => point));
  await rig.relay?.stop();
  while (plan.length > 0) {
    const [point] = plan.splice(Math.floor(options.random.fraction() * plan.length), 1);
    if (point === undefined) break;
    const crash = { point, nth: nthFor(point, options.random), hits: rig.hitsFile };
    const relay = await rig.startRelay(crash);
    const died =
      relay === undefined || (await Promise.race([relay.ended.then(() => true), Bun.sleep(crashMs)]));
    if (died !== true) throw new Error(`Kill the relay at ${point}: it was never there within ${crashMs} ms`);
  }
  await rig.startRelay();
}

/** Numbers of a lane's ledger that were told this. */
export function toldOf(lane: RigLane, delivery: string): number[] {
  return readLedger(lane.ledgerFile).flatMap((line) =>
    line.type === "told" && line.delivery === delivery ? [line.n] : [],
  );
}
