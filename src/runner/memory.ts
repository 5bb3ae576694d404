/** Last-known answers of an upstream, kept in one 0600 file per key so that a restart does not forget the tools. */
import { createHash } from "node:crypto";
import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { privateFolder, readPrivate, writePrivate } from "../base/file.ts";
import type { Log } from "../base/log.ts";

export type Memory = {
  load(key: string): Promise<unknown | undefined>;
  save(key: string, value: unknown): Promise<void>;
};

/**
 * A memory in a folder. Beyond `entriesMax` the answers that were not refreshed for longest are forgotten. A value
 * that cannot be read or written is logged and treated as unknown.
 */
export function folderMemory(folder: string, entriesMax: number, log: Log): Memory {
  const pathOf = (key: string) => {
    privateFolder(folder);
    return join(folder, `${createHash("sha256").update(key).digest("hex").slice(0, 32)}.json`);
  };
  return {
    async load(key) {
      try {
        const text = readPrivate(pathOf(key));
        if (text === undefined) return undefined;
        const stored = JSON.parse(text) as { key?: unknown; value?: unknown };
        return stored.key === key ? stored.value : undefined;
      } catch (error) {
        log.warn("A remembered answer could not be read", { error });
        return undefined;
      }
    },
    async save(key, value) {
      try {
        writePrivate(pathOf(key), JSON.stringify({ key, value }));
        forgetOldest(folder, entriesMax);
      } catch (error) {
        log.warn("An answer could not be remembered", { error });
      }
    },
  };
}

function forgetOldest(folder: string, entriesMax: number): void {
  const names = readdirSync(folder);
  if (names.length <= entriesMax) return;
  const aged = names
    .map((name) => ({ name, at: statSync(join(folder, name)).mtimeMs }))
    .sort((a, b) => b.at - a.at);
  for (const { name } of aged.slice(entriesMax)) rmSync(join(folder, name), { force: true });
}
