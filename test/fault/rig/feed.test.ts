/** Connected but deaf: the relay accepts the feed's connection and nothing comes through. */
import { expect, test } from "bun:test";
import { type Clock, waitingClock } from "../../../src/base/clock.ts";
import { realRandom } from "../../../src/base/random.ts";
import { followFeed } from "../../../src/sdk/feed.ts";
import { report } from "./figures.ts";
import { Rig } from "./rig.ts";
import { limitMs, sizeOf } from "./sizes.ts";

/** Waits pass this much faster than they say. */
const speed = 50;
const fastClock: Clock = {
  ...waitingClock,
  after: (ms, callback) => waitingClock.after(ms / speed, callback),
};

test(
  "T26: a feed that is connected and silent is given up within 60 s, and the next one brings the message",
  async () => {
    await using rig = await Rig.open();
    const [reader] = rig.readers;
    if (reader === undefined) throw new Error("Open a rig with a reader: there is none");
    const took: number[] = [];
    for (let round = 0; round < sizeOf("T26"); round++) {
      let deaf = 1;
      rig.wire.options.verdict = ({ kind }) => (kind === "feed" && deaf-- > 0 ? "swallow" : "pass");
      const stop = new AbortController();
      const startedAt = performance.now();
      const feed = followFeed({
        ...{ url: rig.wire.url, token: () => reader.runnerToken, clock: fastClock, random: realRandom },
        signal: stop.signal,
      });
      const sent = rig.operator.sendMessage({ to: reader.name, body: `round ${round}` });
      for await (const { event } of feed) {
        if (event.type !== "message" || event.message.body !== `round ${round}`) continue;
        took.push(Math.round(((performance.now() - startedAt) * speed) / 1_000));
        stop.abort();
      }
      await sent;
    }
    const slowest = Math.max(...took);
    report("T26", "a deaf feed", {
      figures: { feeds: took.length, "slowest s": slowest, swallowed: rig.wire.counts.swallow },
    });
    expect(took).toHaveLength(sizeOf("T26"));
    expect(rig.wire.counts.swallow).toBe(sizeOf("T26"));
    expect(Math.min(...took)).toBeGreaterThanOrEqual(40);
    expect(slowest).toBeLessThanOrEqual(60);
  },
  limitMs,
);
