/** The SQLite twin, in a file and in memory, against the promises of the store. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realClock } from "../../src/base/clock.ts";
import { realRandom } from "../../src/base/random.ts";
import { openSqliteStore } from "../../src/store/sqlite.ts";
import { type OpenedStore, storeConformance } from "./store.ts";

const open = (path: string) => openSqliteStore({ path, clock: realClock, random: realRandom });

storeConformance("SQLite in a file", async (): Promise<OpenedStore> => {
  const folder = await mkdtemp(join(tmpdir(), "relay-store-"));
  const path = join(folder, "relay.db");
  let store = await open(path);
  return {
    store,
    async reopen() {
      await store.close();
      store = await open(path);
      return store;
    },
    async close() {
      await store.close();
      await rm(folder, { recursive: true });
    },
  };
});

storeConformance("SQLite in memory", async (): Promise<OpenedStore> => {
  const store = await open(":memory:");
  return { store, close: () => store.close() };
});
