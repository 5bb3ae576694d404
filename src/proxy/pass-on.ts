/**
 * Notifications and posted responses: accepted at once, passed on behind it. Their loss is not the agent's problem.
 */
import type { RpcNotification, RpcPostedResponse } from "../wire/jsonrpc.ts";
import type { Ask, Asker, Era } from "./ask.ts";
import type { Core } from "./core.ts";
import type { Session } from "./sessions.ts";

export type Posted = {
  readonly era: Era;
  readonly message: RpcNotification | RpcPostedResponse;
  readonly bytes: Uint8Array;
  readonly asker: Asker;
  readonly session: Session;
};

/** The proxy opens upstream sessions itself and says so itself. */
const notPassed: readonly string[] = ["notifications/initialized"];

/** Only what MCP knows as a notification: a request without an id would pass by every gate. */
function isPassed(method: string): boolean {
  return method.startsWith("notifications/") && !notPassed.includes(method);
}

/** Sends it upstream without waiting; only in the agent's own era. */
export function passOn(core: Core, { era, message, bytes, asker, session }: Posted): void {
  if (message.kind === "notification" && !isPassed(message.method)) return;
  if (core.upstream.eras[era.name] === false) return;
  const { limits, log } = core.options;
  const as = message.kind === "notification" ? message.method : "";
  const ask: Ask = {
    era,
    bytes,
    asker,
    session,
    wantsStream: false,
    message: { kind: "request", id: "0", method: as, params: {} },
  };
  core.upstream
    .send({
      ...era.outgoing(ask),
      deadlineMs: limits.deliveryAttemptMs,
      retryMs: limits.callRetryMs,
      repeatable: true,
    })
    .then((answer) => {
      if (answer.kind === "stream") answer.response.cancel();
    })
    .catch((error: unknown) => log.error("a notification could not be passed on", { error }));
}
