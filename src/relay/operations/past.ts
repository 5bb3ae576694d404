/** Threads, the search and receipts as people and runners see them. */
import { RelayError } from "../../wire/error.ts";
import { asId, type MessageId } from "../../wire/id.ts";
import { type Principal, requireAgent } from "../access.ts";
import { messageStatus, readThread, searchMessages as search, type Viewer, viewerOf } from "../past.ts";
import type { Relay } from "../relay.ts";
import { known, type Operation } from "./operation.ts";

export const getThread: Operation<"getThread"> = (relay, input, by) =>
  readThread(relay, viewerOf(known(by), `Read thread ${input.threadId}`), input);

export const searchMessages: Operation<"searchMessages"> = async (relay, input, by) => {
  const viewer = viewerOf(known(by), "Search messages");
  return search(relay, await narrowed(relay, { by: known(by), viewer, name: input.agent }), input);
};

export const getMessageStatus: Operation<"getMessageStatus"> = async (relay, { id }, by) => {
  const { scopes, agentId } = known(by);
  if (scopes.includes("inbox:read-any")) return messageStatus(relay, id, undefined);
  if (scopes.includes("message:send") && agentId !== undefined) return messageStatus(relay, id, agentId);
  throw new RelayError(
    "forbidden",
    `Ask for the status of message ${id}: the token has ${scopes.join(", ") || "no scope"}; message:send or inbox:read-any was wanted`,
  );
};

export const reportReceipts: Operation<"reportReceipts"> = async ({ store, clock }, input, by) => {
  const { agent, stage, messageIds } = input;
  const runner = requireAgent(known(by), "Report receipts");
  if (runner.agentName !== agent) {
    throw new RelayError("forbidden", `Report receipts of '${agent}': this runs '${runner.agentName}'`);
  }
  const report = {
    agentId: runner.agentId,
    stage,
    messageIds: messageIds.map((id) => asId<MessageId>(id)),
  };
  return { moved: await store.reportReceipts(report, clock.now()) };
};

/** The view of one agent, for somebody who may see everybody's. */
async function narrowed(
  { store }: Relay,
  { by, viewer, name }: { by: Principal; viewer: Viewer; name: string | undefined },
): Promise<Viewer> {
  if (name === undefined || (viewer.agentId !== undefined && name === by.agentName)) return viewer;
  if (viewer.agentId !== undefined) {
    throw new RelayError(
      "forbidden",
      `Search the messages of '${name}': the token has ${by.scopes.join(", ")}; inbox:read-any was wanted`,
    );
  }
  const agent = await store.agentByName(name);
  if (agent !== undefined) return { agentId: agent.id };
  throw new RelayError("not_found", `Search the messages of '${name}': there is no agent of that name`);
}
