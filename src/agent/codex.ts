/** Codex, as an app-server that belongs to the runner: `codex/launch.ts` has its commands, `codex/session.ts` its life. */
import { createHash } from "node:crypto";
import { openWebSocket } from "../base/http/web-socket.ts";
import { serverPlan } from "./codex/launch.ts";
import { startServerProcess } from "./codex/server-process.ts";
import { openCodexSession } from "./codex/session.ts";
import type { LaunchPlan, LaunchRequest } from "./launch.ts";
import type { Session, SessionOptions } from "./session.ts";

export const name = "codex";

/** The command of the app-server, without the address and the token hash that a session adds. */
export function launch(request: LaunchRequest): LaunchPlan {
  return serverPlan(request);
}

/** The session of the started program. */
export function openSession(options: SessionOptions): Session {
  return openCodexSession(options, {
    openSocket: openWebSocket,
    startServer: startServerProcess,
    hash: (text) => createHash("sha256").update(text).digest("hex"),
  });
}
