/**
 * Which request is answered how: the table of the contract, one row per method.
 */
import { rpcCode } from "../wire/jsonrpc.ts";
import { errorAnswer, type Outcome, resultAnswer } from "./answer.ts";
import type { Ask } from "./ask.ts";
import { callTool } from "./calls.ts";
import type { Core } from "./core.ts";
import type { EraName } from "./era.ts";
import { forward } from "./forward.ts";
import { openListen } from "./listen.ts";
import { type ListMethod, listMethods } from "./lists.ts";

type Handler = (core: Core, ask: Ask) => Promise<Outcome> | Outcome;

const openRow: Handler = (core, ask) => ask.era.open(core, ask);
const both: Record<string, Handler> = {
  "tools/call": callTool,
  "tools/list": listTools,
  "prompts/list": listOther,
  "resources/list": listOther,
  "resources/templates/list": listOther,
};
const table: Record<EraName, Record<string, Handler>> = {
  modern: { ...both, "server/discover": openRow, "subscriptions/listen": openListen },
  legacy: {
    ...both,
    initialize: openRow,
    ping: (core, ask) => resultAnswer(core, ask, {}),
  },
};

/** Answers one request of an agent. */
export function answerRequest(core: Core, ask: Ask): Promise<Outcome> {
  const rows = table[ask.era.name];
  const { method } = ask.message;
  const handler = Object.hasOwn(rows, method) ? rows[method] : undefined;
  const outcome = handler === undefined ? passOther(core, ask) : handler(core, ask);
  return outcome instanceof Promise ? outcome : Promise.resolve(outcome);
}

async function listTools(core: Core, ask: Ask): Promise<Outcome> {
  if (ask.message.params.cursor !== undefined) return badCursor(ask);
  const answer = await core.lists.ask("tools/list");
  const { tools, fingerprint } = core.shown();
  // Whoever is given an error knows of no tools: it is told when there are some.
  core.sessions.shownTo(ask.session, fingerprint);
  if (answer.kind === "error" && !core.lists.knowsTools()) return errorAnswer(ask, answer);
  const list = ask.era.name === "legacy" ? tools.map(legacyShape) : tools;
  core.options.toolsListed?.();
  return resultAnswer(core, ask, { tools: list });
}

/** Output schemas that are not objects came with the modern era. */
function legacyShape<Tool extends { outputSchema?: Record<string, unknown> }>(tool: Tool): Tool {
  if (tool.outputSchema === undefined || tool.outputSchema.type === "object") return tool;
  const { outputSchema: _, ...rest } = tool;
  return rest as Tool;
}

async function listOther(core: Core, ask: Ask): Promise<Outcome> {
  if (ask.message.params.cursor !== undefined) return badCursor(ask);
  const method = ask.message.method as ListMethod;
  const answer = await core.lists.ask(method);
  if (answer.kind === "error") return errorAnswer(ask, { code: answer.code, message: answer.message });
  return resultAnswer(core, ask, { [listMethods[method]]: answer.items });
}

/** Lists are answered whole, so no cursor can be one of ours. */
function badCursor(ask: Ask): Outcome {
  const message = "The cursor is not known: lists are given as one page";
  return errorAnswer(ask, { code: rpcCode.invalidParams, message });
}

function passOther(core: Core, ask: Ask): Promise<Outcome> {
  return forward(core, ask, {
    deadlineMs: core.options.limits.upstreamCallMs,
    repeatable: false,
    cancels: true,
    early: false,
  });
}
