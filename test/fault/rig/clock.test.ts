/**
 * Time that jumps, and time that has run out: an outbox in this process whose clock the test sets, a relay with a
 * clock of its own, and the same checker. Nothing here waits for days: the clocks are arguments.
 */
import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readDatabase } from "../../../examples/demo/database.ts";
import { type Clock, waitingClock } from "../../../src/base/clock.ts";
import { silentLog } from "../../../src/base/log.ts";
import { realRandom } from "../../../src/base/random.ts";
import { limits } from "../../../src/limits.ts";
import { openOutbox } from "../../../src/outbox/outbox.ts";
import { createClient } from "../../../src/sdk/client.ts";
import { relayDeliverer } from "../../../src/sdk/deliverer.ts";
import { type RelayServer, startServer } from "../../../src/server.ts";
import { asId } from "../../../src/wire/id.ts";
import { tokenHash, tokenText } from "../../../src/wire/token.ts";
import { check, found, words } from "./checker.ts";
import { report } from "./figures.ts";
import { bodyOf, type Line, openJournal, readLedger } from "./ledger.ts";
import { scaled } from "./rig.ts";
import { limitMs, sizeOf } from "./sizes.ts";
import { Wire, type WireOptions } from "./wire.ts";

const hour = 3_600_000;
const day = 24 * hour;

type SetClock = Clock & { skewMs: number };

function setClock(): SetClock {
  const clock: SetClock = { ...waitingClock, skewMs: 0, now: () => Date.now() + clock.skewMs };
  return clock;
}

/** A recipient `sink`, and the writer `lane` with its token. */
async function enrolBoth(server: RelayServer): Promise<{ token: string; agentId: string }> {
  const secret = readFileSync(server.operatorTokenFile, "utf8").trim();
  const operator = createClient({ url: server.url, token: () => secret });
  const [sink, token] = [1, 2].map(() => tokenText("runner", realRandom.bytes(32)));
  const facts = { provider: "exec", machine: "rig" };
  await operator.enrolRunner({ ...facts, agentName: "sink", secretHash: tokenHash(sink ?? "") });
  const own = { ...facts, agentName: "lane", secretHash: tokenHash(token ?? "") };
  const { agentId } = await operator.enrolRunner(own);
  return { token: token ?? "", agentId };
}

/** One lane in this process, with a relay and a wire whose clocks and verdicts the test decides. */
async function timedLane(options: Omit<WireOptions, "upstream"> = {}) {
  const folder = mkdtempSync(join(tmpdir(), "agent-relay-clock-"));
  const home = join(folder, "home");
  const [relayClock, clock] = [setClock(), setClock()];
  const serve = () => startServer({ home, port: 0, log: silentLog, version: "0.0.0", clock: relayClock });
  let server: RelayServer = await serve();
  const wire = await new Wire({ upstream: server.url, ...options }).up();
  const { token, agentId } = await enrolBoth(server);
  const client = createClient({ url: wire.url, token: () => token, clock: waitingClock });
  const outbox = await openOutbox({
    ...{ dir: join(folder, "outbox"), relayId: server.relayId, agentId: asId<never>(agentId) },
    ...{ limits: { ...limits, ...scaled }, clock, random: realRandom, log: silentLog },
    deliverer: (storeId) => relayDeliverer(client, storeId),
  });
  const ledgerFile = join(folder, "ledger.jsonl");
  const ledger = openJournal<Line>(ledgerFile);
  outbox.onNotice(({ reason, messageId }) => ledger.append({ type: "notice", reason, messageId }));
  return {
    ...{ clock, relayClock, wire, outbox },
    async write(n: number, waitMs: number) {
      ledger.append({ type: "intent", n });
      const call = {
        tool: "relay_send_message",
        callId: undefined,
        key: asId<never>(`write-${n}`),
        session: "s",
      };
      const { receipt } = await outbox.write(
        { ...call, arguments: { to: "sink", body: bodyOf("lane", n) } },
        waitMs,
      );
      const { delivery, messageId } = receipt;
      ledger.append({ type: "told", n, delivery, messageId, replayed: false, tookMs: 0 });
      return receipt;
    },
    async restartRelay() {
      await server.close();
      server = await serve();
      wire.options.upstream = server.url;
    },
    async judge() {
      const waiting = outbox.status().depth;
      await outbox.close();
      await wire.down();
      await server.close();
      mkdirSync(join(folder, "copy"));
      const inboxes = [...readDatabase(home, join(folder, "copy")).values()];
      const verdict = check(
        [{ name: "lane", ledger: readLedger(ledgerFile), waiting, endedUnsent: [] }],
        inboxes.map((rows) => ({ rows, reads: undefined })),
      );
      rmSync(folder, { recursive: true, force: true });
      return verdict;
    },
  };
}

test(
  "T14: [P2.11] a clock that jumps by a second, an hour, eight hours or a year expires nothing early and starts no storm",
  async () => {
    const lane = await timedLane();
    const jumps = [1_000, -1_000, hour, -hour, 8 * hour, -8 * hour, 365 * day, -365 * day];
    const count = sizeOf("T14");
    for (let n = 1; n <= count; n++) {
      await lane.wire.down();
      await lane.write(n, 5);
      lane.clock.skewMs += jumps[n % jumps.length] ?? 0;
      await Bun.sleep(5);
      await lane.wire.up();
      expect(await lane.outbox.flush(5_000)).toBe(true);
    }
    const attempts = Math.max(...lane.wire.counts.attempts.values());
    const requests = lane.wire.counts.pass;
    const verdict = await lane.judge();
    report("T14", "a clock that jumps", {
      figures: { jumps: count, "most attempts": attempts, requests },
      verdict,
    });
    expect(words(verdict)).toEqual([]);
    expect(found(verdict)).toEqual({});
    expect([verdict.committed, verdict.notices]).toEqual([count, 0]);
    expect(attempts).toBeLessThanOrEqual(3);
    expect(requests).toBeLessThanOrEqual(count * 20);
  },
  limitMs,
);

test(
  "T25: [P2.11] a key that the relay has forgotten is never executed again; the agent is told that the outcome is unknown",
  async () => {
    // Records whose answer the relay has given, and which is lost now.
    let applied = 0;
    const lane = await timedLane({
      verdict: ({ kind }) => (kind === "deliver" ? "lose" : "pass"),
      before: (stage, { records }) => {
        if (stage === "answer") applied = Math.max(applied, records.length);
      },
    });
    const count = sizeOf("T25");
    await lane.wire.down();
    for (let n = 1; n <= count; n++) await lane.write(n, 5);
    await lane.wire.up();
    lane.outbox.kick();
    const end = performance.now() + 20_000;
    while (applied < count && performance.now() < end) await Bun.sleep(5);
    await lane.wire.down();
    lane.relayClock.skewMs += 15 * day;
    await lane.restartRelay();
    lane.wire.heal();
    await lane.wire.up();
    expect(await lane.outbox.flush(10_000)).toBe(true);
    const verdict = await lane.judge();
    report("T25", "keys that the relay has forgotten", { figures: { keys: count }, verdict });
    expect(words(verdict)).toEqual([]);
    expect(found(verdict)).toEqual({});
    expect(verdict.committed).toBe(count);
    expect(verdict.notices).toBe(count);
  },
  limitMs,
);
