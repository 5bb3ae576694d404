/**
 * Single requests between an app-server and this client: our skills, and what it asks when nobody sits at a terminal,
 * where nothing is allowed that its settings do not allow.
 */
import type { Log } from "../../base/log.ts";
import type { LaunchRequest } from "../launch.ts";
import { type Connection, type Members, members, type ServerAnswer, text } from "./connection.ts";

const declined: Readonly<Record<string, Record<string, unknown>>> = {
  "item/commandExecution/requestApproval": { decision: "decline" },
  "item/fileChange/requestApproval": { decision: "decline" },
  "item/permissions/requestApproval": { permissions: {}, scope: "turn" },
  "mcpServer/elicitation/request": { action: "decline", content: null, _meta: null },
  "item/tool/requestUserInput": { answers: {} },
};

/** The answer where nobody can be asked: a refusal that the model reads, so that its turn goes on. */
export function unattendedAnswer(method: string): ServerAnswer {
  const result = declined[method];
  return result === undefined
    ? { error: { code: -32_601, message: `nobody answers ${method} here` } }
    : { result };
}

/** Names our skills to Codex, where the profile has them. */
export async function offerSkills(
  link: Connection,
  { features, aids }: Pick<LaunchRequest, "features" | "aids">,
  log: Log,
): Promise<void> {
  if (!features.skills || aids.plugins === undefined) return;
  const answer = await link.request("skills/extraRoots/set", { extraRoots: [`${aids.plugins}/skills`] });
  if (answer.status !== "done") log.warn("Codex did not take our skills", { answer });
}

/** The turn that an accepted text belongs to, in the answer to either way of giving it. */
export function turnIn(result: Members): string | undefined {
  return text(result.turnId) ?? text(members(result.turn).id);
}
