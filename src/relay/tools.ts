/** The relay's MCP tools: one function per row of the tool table. What they give back belongs to no era. */
import { ProtocolError, ProtocolErrorCode } from "@modelcontextprotocol/server";
import type { ErrorCode } from "../wire/error.ts";
import { asId, type IdempotencyKey } from "../wire/id.ts";
import { type NeutralResult, operationResult, receiptSchema } from "../wire/receipt.ts";
import { argumentFault, type ToolInput, type ToolName, type ToolOutput, toolTable } from "../wire/tools.ts";
import { type AgentPrincipal, type Principal, requireAgent } from "./access.ts";
import {
  checkMessages,
  getThread,
  joinChannelTool,
  leaveChannelTool,
  listChannels,
  messageStatusTool,
  searchTool,
} from "./message-tools.ts";
import { declineTool, outstandingTool } from "./obligation-tools.ts";
import { type Standing, standings } from "./presence.ts";
import { type Relay, timeText } from "./relay.ts";
import { applyLive } from "./writes.ts";

/** A call as it arrives; `key` is the caller's own from outside the arguments. */
export type ToolCall = {
  name: string;
  arguments: Record<string, unknown>;
  key: IdempotencyKey | undefined;
  trace?: string | undefined;
};

type Context = {
  relay: Relay;
  by: AgentPrincipal;
  key: IdempotencyKey | undefined;
  trace: string | undefined;
};
type Tool<Name extends ToolName> = (context: Context, input: ToolInput<Name>) => Promise<NeutralResult>;

const tools: { readonly [Name in ToolName]: Tool<Name> } = {
  relay_send_message: (context, input) => write(context, "relay_send_message", input),
  relay_reply: (context, input) => write(context, "relay_reply", input),
  relay_check_messages: checkMessages,
  relay_get_thread: getThread,
  relay_search_messages: searchTool,
  relay_message_status: messageStatusTool,
  relay_operation_status: operationStatus,
  relay_join_channel: joinChannelTool,
  relay_leave_channel: leaveChannelTool,
  relay_list_channels: listChannels,
  relay_list_agents: listAgents,
  relay_outstanding: outstandingTool,
  relay_decline: declineTool,
};

/**
 * Runs a tool. What the agent can act on is a result with `isError`; an unknown tool is a protocol error.
 * @throws ProtocolError −32602 for an unknown tool; RelayError
 */
export async function callTool(relay: Relay, principal: Principal, call: ToolCall): Promise<NeutralResult> {
  if (!Object.hasOwn(toolTable, call.name)) {
    throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown tool: ${call.name}`);
  }
  const name = call.name as ToolName;
  const { scope, input } = toolTable[name];
  if (!principal.scopes.includes(scope)) {
    relay.refusals.note("scope_denied", principal, name);
    return fault("forbidden", `${name} needs the scope ${scope}, which this token does not have`);
  }
  const parsed = input.safeParse(call.arguments);
  if (!parsed.success) return fault("bad_request", `${name}: ${argumentFault(parsed.error)}`);
  const context = { relay, by: requireAgent(principal, `Call ${name}`), key: call.key, trace: call.trace };
  // The row and the function have the same name; TypeScript does not follow it through the union of rows.
  return (tools[name] as Tool<ToolName>)(context, parsed.data as never);
}

async function write(
  { relay, by, key, trace }: Context,
  tool: ToolName,
  input: Record<string, unknown> & { idempotencyKey?: string | undefined },
): Promise<NeutralResult> {
  const { idempotencyKey, ...given } = input;
  const named = key ?? (idempotencyKey === undefined ? undefined : asId<IdempotencyKey>(idempotencyKey));
  const { result } = await applyLive(relay, by, { tool, arguments: given, key: named, trace });
  return result;
}

async function operationStatus(
  { relay, by }: Context,
  { idempotencyKey }: ToolInput<"relay_operation_status">,
): Promise<NeutralResult> {
  const found = await relay.store.findOutcomes({ sender: by.agentId, keys: [asId(idempotencyKey)] });
  const [outcome] = found.status === "found" ? found.outcomes : [];
  if (outcome?.status === "committed") {
    const receipt = receiptSchema.parse(outcome.result.structuredContent);
    return operationResult({ idempotencyKey, state: "committed", receipt, messageId: receipt.messageId });
  }
  if (outcome === undefined) return operationResult({ idempotencyKey, state: "unknown" });
  const reason = `${outcome.code}: ${outcome.detail}`;
  return operationResult({ idempotencyKey, state: "rejected", reason });
}

async function listAgents({ relay, by }: Context): Promise<NeutralResult> {
  const standing = await standings(relay);
  const agents = (await relay.store.listAgents()).map(({ id, name, provider, lastSeenAt }) => ({
    name,
    provider,
    online: relay.hub.isOnline(id),
    ...toolStanding(standing({ id, lastSeenAt })),
    ...(lastSeenAt === undefined ? {} : { lastSeenAt: timeText(lastSeenAt) }),
    self: id === by.agentId,
  }));
  const structuredContent: ToolOutput<"relay_list_agents"> = { agents };
  return { content: [{ type: "text", text: JSON.stringify(structuredContent) }], structuredContent };
}

/** Why an agent's writes were stopped is for the agent itself and for people. */
function toolStanding({ presence, quarantined }: Standing) {
  return { status: presence, ...(quarantined === undefined ? {} : { quarantined: true }) };
}

function fault(code: ErrorCode, detail: string): NeutralResult {
  return { content: [{ type: "text", text: `${code}: ${detail}` }], isError: true };
}
