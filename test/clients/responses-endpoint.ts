/** The Responses API on loopback, as far as Codex uses it, answered by the scripted model. */
import { bareName, type Item, type Move, nextMove } from "./brain.ts";
import { apiError, eventStream, holdAnswers, type ModelEndpoint, modelLog } from "./model-log.ts";

type Part = { type?: string; text?: string };
type Entry = {
  type?: string;
  role?: string;
  content?: string | Part[];
  name?: string;
  namespace?: string;
  arguments?: string;
  output?: string | Part[];
};
/** Tools of one MCP server come as one entry of type `namespace` that holds them. */
type Tool = { type: string; name?: string; tools?: Tool[] };
type Body = { model?: string; input?: Entry[]; tools?: Tool[] };
type Offered = { namespace: string | undefined; name: string };

/** Serves on a free port of 127.0.0.1. */
export function startResponsesEndpoint(file?: string): ModelEndpoint {
  const log = modelLog(file);
  const held = holdAnswers();
  let silent = false;
  let refused = 0;
  let count = 0;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    async fetch(request) {
      const { pathname } = new URL(request.url);
      if (request.method !== "POST" || !pathname.endsWith("/responses"))
        return apiError(404, `there is no ${pathname}`);
      if (silent) {
        refused += 1;
        return apiError(503, "the scripted model is silent");
      }
      const raw = await request.text();
      const body = JSON.parse(raw) as Body;
      const tools = offered(body.tools ?? [], undefined);
      const items = itemsOf(body);
      const move = nextMove(items);
      const names = tools.map(({ namespace, name }) => (namespace ? `${namespace}__${name}` : name));
      const aside = tools.length === 0;
      if (!aside) log.add({ at: Date.now(), path: pathname, raw, items, tools: names, move });
      if (!aside && move.pauseMs > 0) await Bun.sleep(move.pauseMs);
      if (!aside) await held.before(move);
      return answer(aside ? { kind: "say", text: "aside", pauseMs: 0 } : move, tools, ++count);
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}/v1`,
    requests: log.requests,
    answering(on) {
      silent = !on;
    },
    refused: () => refused,
    hold: held.hold,
    close: () => server.stop(true),
  };
}

function offered(tools: readonly Tool[], namespace: string | undefined): Offered[] {
  return tools.flatMap((tool) =>
    tool.type === "namespace"
      ? offered(tool.tools ?? [], tool.name)
      : [{ namespace, name: tool.name ?? tool.type }],
  );
}

function itemsOf({ input = [] }: Body): Item[] {
  return input.flatMap((entry): Item[] => {
    if (entry.type === "message" && entry.role === "user")
      return [{ kind: "text", text: textOf(entry.content) }];
    if (entry.type === "function_call")
      return [{ kind: "call", tool: bareName(entry.name ?? ""), args: JSON.parse(entry.arguments ?? "{}") }];
    if (entry.type === "function_call_output") return [{ kind: "result", text: textOf(entry.output) }];
    return [];
  });
}

function textOf(content: string | Part[] | undefined): string {
  if (typeof content === "string") return content;
  return (content ?? []).map(({ text = "" }) => text).join("");
}

function answer(move: Move, tools: readonly Offered[], count: number): Response {
  const response = { id: `resp_scripted_${count}`, object: "response" };
  const item = move.kind === "say" ? said(move.text, count) : called(move, tools, count);
  const usage = {
    input_tokens: 50,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: 10,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: 60,
  };
  const events = [
    ["response.created", { response: { ...response, status: "in_progress", output: [] } }],
    ["response.output_item.added", { output_index: 0, item }],
    ["response.output_item.done", { output_index: 0, item }],
    ["response.completed", { response: { ...response, status: "completed", output: [item], usage } }],
  ] as const;
  return eventStream(
    events.map(([type, data], sequence_number) => [type, { type, sequence_number, ...data }]),
  );
}

function said(text: string, count: number): Record<string, unknown> {
  const content = [{ type: "output_text", text, annotations: [] }];
  return { type: "message", id: `msg_scripted_${count}`, role: "assistant", content };
}

function called(
  move: Extract<Move, { kind: "call" }>,
  tools: readonly Offered[],
  count: number,
): Record<string, unknown> {
  const tool = tools.find(({ name }) => bareName(name) === move.tool);
  return {
    type: "function_call",
    id: `fc_scripted_${count}`,
    call_id: `call_scripted_${Date.now()}_${count}`,
    name: tool?.name ?? move.tool,
    arguments: JSON.stringify(move.args),
    ...(tool?.namespace === undefined ? {} : { namespace: tool.namespace }),
  };
}
