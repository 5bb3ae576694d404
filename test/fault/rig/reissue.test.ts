/**
 * Clients that make a call again because its answer never came, under a new request id: with a call id of theirs
 * always the same write; without one as long as the first answer was not seen. Equal texts that are meant stay two.
 */
import { expect, test } from "bun:test";
import { seededRandom } from "../../../src/base/random.ts";
import { found, words } from "./checker.ts";
import { writeOf } from "./drive.ts";
import { report } from "./figures.ts";
import { bodyOf } from "./ledger.ts";
import { Rig, type RigLane } from "./rig.ts";
import { limitMs, seed, sizeOf } from "./sizes.ts";

type Giving = { naming: "call-id" | "none"; giveUpMs: number };

/** Each call is given up once by the client itself, at a random moment, and made again; how many were. */
async function giveUp(lane: RigLane, { naming, giveUpMs }: Giving): Promise<number> {
  const random = seededRandom(seed);
  let givenUp = 0;
  for (let n = 1; n <= Math.ceil(sizeOf("T21") / 2); n++) {
    const soon = AbortSignal.timeout(Math.floor(random.fraction() * giveUpMs));
    const told = await lane.agent.tryWrite(writeOf(lane, n, { naming }), soon);
    if (told !== undefined) continue;
    givenUp += 1;
    await lane.agent.write(writeOf(lane, n, { naming }));
  }
  return givenUp;
}

async function givenUpOnce(giving: Giving, answerMs: number) {
  await using rig = await Rig.open({ delayMs: ({ kind }) => (kind === "deliver" ? answerMs : 0) });
  const [lane] = await rig.startLanes(1);
  if (lane === undefined) throw new Error("Start one lane: there is none");
  const givenUp = await giveUp(lane, giving);
  return { givenUp, verdict: await rig.judge() };
}

test(
  "T21: [P2.13] with a call id of its own a call that is given up at any moment and made again is one write",
  async () => {
    const { givenUp, verdict } = await givenUpOnce({ naming: "call-id", giveUpMs: 9 }, 3);
    report("T21", "made again with a call id", { figures: { "given up once": givenUp }, verdict });
    expect(words(verdict)).toEqual([]);
    expect(found(verdict)).toEqual({});
    expect(givenUp).toBeGreaterThan(sizeOf("T21") / 10);
  },
  limitMs,
);

test(
  "T21: [P2.13] without a call id a call that is given up before its answer has left is one write",
  async () => {
    const { givenUp, verdict } = await givenUpOnce({ naming: "none", giveUpMs: 8 }, 30);
    report("T21", "made again without a call id", { figures: { "given up once": givenUp }, verdict });
    expect(words(verdict)).toEqual([]);
    expect(found(verdict)).toEqual({});
    expect(givenUp).toBeGreaterThan(sizeOf("T21") / 10);
  },
  limitMs,
);

test(
  "T21: without a call id and at any moment: only an answer that had left already is taken for seen",
  async () => {
    const { givenUp, verdict } = await givenUpOnce({ naming: "none", giveUpMs: 9 }, 3);
    report("T21", "made again without a call id, also after the answer left", {
      figures: { "given up once": givenUp },
      verdict,
    });
    const { doubled = 0, ...others } = found(verdict);
    expect(others).toEqual({});
    // An answer that is on its way when its client goes cannot be told from one that was read. Counted twice: rows, reads.
    expect(doubled / 2).toBeLessThanOrEqual(Math.max(2, givenUp / 10));
  },
  limitMs,
);

test(
  "T21: [P2.13] equal texts whose answers were seen are writes of their own",
  async () => {
    await using rig = await Rig.open();
    const [lane] = await rig.startLanes(1);
    if (lane === undefined) throw new Error("Start one lane: there is none");
    const count = sizeOf("T21") * 2;
    let replayed = 0;
    for (let n = 1; n <= count; n++) {
      const told = await lane.agent.write({ n, to: "sink-1", body: bodyOf(lane.name, 1) });
      replayed += told?.replayed === true ? 1 : 0;
    }
    const verdict = await rig.judge();
    report("T21", "equal texts that are meant", {
      figures: { calls: count, suppressed: replayed, committed: verdict.committed },
    });
    expect(replayed).toBe(0);
    expect(verdict.committed).toBe(count);
  },
  limitMs,
);
