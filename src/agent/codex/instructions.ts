/**
 * Codex has one place for instructions of others, so ours go behind the person's own. Those may stand in any of several
 * files or in an option, and only Codex knows which of them counts: an app-server is started for the question alone.
 */
import type { LaunchRequest } from "../launch.ts";
import type { SessionOptions } from "../session.ts";
import { type Connection, connectAppServer, members, text } from "./connection.ts";
import { serverPlan } from "./launch.ts";
import { type CodexOutside, startListening } from "./server-process.ts";

/** The request with the person's own instructions before ours. Without them when Codex does not say; never rejects. */
export async function withTheirInstructions(
  request: LaunchRequest,
  options: Pick<SessionOptions, "clock" | "random" | "limits" | "log">,
  outside: CodexOutside,
): Promise<LaunchRequest> {
  if (!request.features.mcp || request.instructions === "") return request;
  try {
    const theirs = await theirInstructions(request, options, outside);
    return theirs === undefined
      ? request
      : { ...request, instructions: `${theirs}\n\n${request.instructions}` };
  } catch (error) {
    options.log.warn("The person's own instructions for Codex are not known: it gets ours alone", { error });
    return request;
  }
}

/** What Codex would take for its instructions without ours; undefined for nothing. Rejects when it does not say. */
async function theirInstructions(
  request: LaunchRequest,
  { clock, random, limits }: Pick<SessionOptions, "clock" | "random" | "limits">,
  outside: CodexOutside,
): Promise<string | undefined> {
  const token = Buffer.from(random.bytes(32)).toString("base64url");
  const features = { ...request.features, mcp: false };
  const plan = serverPlan({ ...request, features }, outside.hash(token));
  // A program that is not there is told of by who starts the session.
  if (plan.status === "refused") return undefined;
  const { cwd } = request;
  const times = { startMs: limits.codexStartMs, stopMs: limits.childStopMs };
  const { server, url } = startListening(outside.startServer, { plan, cwd, clock, ...times, onExit() {} });
  let link: Connection | undefined;
  try {
    link = await connectAppServer({
      ...{ open: outside.openSocket, url: await url, token, clock, requestMs: limits.injectMs, version: "1" },
      events: { onNotification() {}, onRequest: () => undefined, onClose() {} },
    });
    const answer = await link.request("config/read", { cwd });
    if (answer.status !== "done") throw new Error(`Read the settings of Codex: ${answer.message}`);
    const theirs = text(members(members(answer.result).config).developer_instructions);
    return theirs === undefined || theirs.trim() === "" ? undefined : theirs;
  } finally {
    link?.close();
    await server.stop();
  }
}
