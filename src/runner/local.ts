/**
 * The outboxes of a home: those of agents and those of proxies, whether somebody runs them or not. What a running
 * owner knows is asked from its control server; nobody else may open its store.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { isMissing, readPrivate } from "../base/file.ts";
import type { RecordView } from "../wire/write.ts";
import { type ControlPath, controlPaths } from "./control.ts";
import { agentFolder, isEnrolled, listCredentials } from "./credential.ts";

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

/** What is asked of a control server. */
export type ControlQuestion = {
  path: ControlPath;
  method?: "GET" | "POST";
  /** Members of the query; one that is repeated is a list. */
  query?: readonly (readonly [string, string])[];
};

/** What the owner's control server answers; undefined when nobody serves there, or something else does. */
export async function askControl(
  folder: string,
  question: ControlPath | ControlQuestion,
  signal: AbortSignal,
): Promise<unknown> {
  const { path, method = "GET", query = [] } = typeof question === "string" ? { path: question } : question;
  const search =
    query.length === 0 ? "" : `?${new URLSearchParams(query.map(([name, value]) => [name, value]))}`;
  const secret = readPrivate(join(folder, "control.secret"))?.trim();
  const saved = readPrivate(join(folder, "control.json"));
  if (secret === undefined || saved === undefined) return undefined;
  const port = portIn(saved);
  if (port === undefined) return undefined;
  const response = await fetch(`http://127.0.0.1:${port}${path}${search}`, {
    method,
    headers: { Authorization: `Bearer ${secret}` },
    redirect: "manual",
    signal,
    // An HTTP proxy of the environment must not get the secret. Bun takes `false` for no proxy at all, an empty text
    // for the environment's; its types only know an address.
    proxy: false as unknown as string,
  }).catch(() => undefined);
  // Another program may have the port by now: what it answers says nothing.
  return response?.status === 200 ? response.json().catch(() => undefined) : undefined;
}

function portIn(saved: string): number | undefined {
  try {
    return z.object({ port: z.number() }).parse(JSON.parse(saved)).port;
  } catch {
    return undefined; // A damaged file costs what the owner would have told, nothing else.
  }
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
