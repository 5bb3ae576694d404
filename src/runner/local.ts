/**
 * The outboxes of a home: those of agents and those of proxies, whether somebody runs them or not. What a running
 * owner knows is asked from its control server; nobody else may open its store.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { isMissing } from "../base/file.ts";
import type { RecordView } from "../wire/write.ts";
import { askControl } from "./ask-control.ts";
import { controlPaths } from "./control-paths.ts";
import { agentFolder, isEnrolled, listCredentials } from "./credential.ts";

export { askControl } from "./ask-control.ts";

/** One outbox folder's owner. */
export type LocalPlace = {
  /** The agent's name, or the proxy's folder name. */
  name: string;
  kind: "agent" | "proxy";
  folder: string;
  /** Where the store is. */
  outbox: string;
};

/** All places of a home, agents first. */
export function localPlaces(home: string): LocalPlace[] {
  const agents = listCredentials(home)
    .filter(isEnrolled)
    .map(({ agentName, relayId, agentId }) => place(agentName, "agent", agentFolder(home, relayId, agentId)));
  const proxies = folders(join(home, "proxies")).map((name) =>
    place(name, "proxy", join(home, "proxies", name)),
  );
  return [...agents, ...proxies];
}

/** The records a running owner knows; undefined when nobody runs it. */
export async function ownedRecords(folder: string, signal: AbortSignal): Promise<RecordView[] | undefined> {
  const answer = (await askControl(folder, controlPaths.records, signal)) as
    | { records?: RecordView[] }
    | undefined;
  return answer?.records;
}

function place(name: string, kind: LocalPlace["kind"], folder: string): LocalPlace {
  return { name, kind, folder, outbox: join(folder, "outbox") };
}

function folders(path: string): string[] {
  try {
    return readdirSync(path).sort();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
