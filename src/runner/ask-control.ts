/** Asks the control server of a running owner. Loads little: every hook of a provider does this. */
import { join } from "node:path";
import { readPrivate } from "../base/file.ts";
import type { ControlPath, ControlQuestion } from "./control-paths.ts";

/** What the owner's control server answers; undefined when nobody serves there, or something else does. */
export async function askControl(
  folder: string,
  question: ControlPath | ControlQuestion,
  signal: AbortSignal,
): Promise<unknown> {
  const {
    path,
    method = "GET",
    query = [],
    body,
  }: ControlQuestion = typeof question === "string" ? { path: question } : question;
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
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
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
    const { port } = JSON.parse(saved) as { port?: unknown };
    return typeof port === "number" ? port : undefined;
  } catch {
    return undefined; // A damaged file costs what the owner would have told, nothing else.
  }
}
