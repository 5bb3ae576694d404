/** What an outbox does about its failed file when it is closed: refused writes leave it. */
import { expect, test } from "bun:test";
import { VirtualClock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import { seededRandom } from "../base/random.ts";
import { limits } from "../limits.ts";
import { noticeBoard } from "./notices.ts";
import { createQueue } from "./queue.ts";
import { Recovery } from "./recovery.ts";
import type { LoadRequest } from "./rows.ts";
import { DiskFailedError, DiskFullError, type Loaded } from "./store.ts";

const nothing: Loaded = {
  ...{ status: "opened", storeId: "store" as Loaded["storeId"], epoch: 2, lastId: 7 },
  ...{ records: [], notices: [], paused: false },
};

/** A recovery whose file opens or fails, and what it was opened with. */
function world(opens: () => Promise<Loaded>) {
  const loads: LoadRequest["discard"][] = [];
  const clock = new VirtualClock(1_000_000);
  const stop = new AbortController();
  const store = {
    load: (discard: LoadRequest["discard"]) => {
      loads.push({ ...discard, keys: [...discard.keys] });
      return opens();
    },
    save: async () => {},
    unsaved: () => undefined,
  };
  const parts = {
    ...{ clock, limits, random: seededRandom(1), log: silentLog, store, queue: createQueue(limits) },
    ...{ board: noticeBoard({ storeId: "store", limits, clock }), stop: stop.signal },
    hold() {},
    release() {},
  };
  const recovery = new Recovery(parts, 7);
  const close = () => {
    stop.abort();
    return recovery.close();
  };
  return { recovery, loads, clock, close };
}

const failed = () => new DiskFailedError("EIO");

test("[P5.17] what was refused leaves the failed file before the outbox is closed", async () => {
  const { recovery, loads, close } = world(async () => nothing);
  recovery.failed(failed());
  recovery.discard("a");
  recovery.discard("b");
  await close();
  expect(loads).toEqual([{ afterId: 7, keys: ["a", "b"] }]);
});

test("a file that still fails keeps it, and the outbox closes all the same", async () => {
  const { recovery, loads, close } = world(() => Promise.reject(new Error("EIO")));
  recovery.failed(failed());
  recovery.discard("a");
  await close();
  expect(loads).toHaveLength(1);
});

test("nothing is opened for a file that is good, or was refused nothing", async () => {
  const good = world(async () => nothing);
  await good.close();
  const full = world(async () => nothing);
  full.recovery.failed(new DiskFullError("no room"));
  await full.close();
  const empty = world(async () => nothing);
  empty.recovery.failed(failed());
  await empty.close();
  expect([good.loads, full.loads, empty.loads]).toEqual([[], [], []]);
});

test("after the file was opened again nothing is left to discard", async () => {
  const { recovery, loads, clock, close } = world(async () => nothing);
  recovery.failed(failed());
  recovery.discard("a");
  clock.advance(limits.deliveryBackoffCapMs);
  await new Promise((resolve) => setImmediate(resolve));
  expect(recovery.damaged).toBeUndefined();
  await close();
  expect(loads).toEqual([{ afterId: 7, keys: ["a"] }]);
});
