/** The Messages API on loopback, as far as Claude Code uses it, answered by the scripted model. */
import { bareName, type Item, type Move, nextMove } from "./brain.ts";
import { apiError, eventStream, holdAnswers, type ModelEndpoint, modelLog } from "./model-log.ts";

type Block = {
  type: string;
  text?: string;
  name?: string;
  input?: unknown;
  content?: string | Block[];
};
type Body = {
  model?: string;
  stream?: boolean;
  messages?: { role: string; content: string | Block[] }[];
  tools?: { name: string }[];
};

/** Serves on a free port of 127.0.0.1. */
export function startMessagesEndpoint(file?: string): ModelEndpoint {
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
      if (request.method === "HEAD") return new Response(null);
      if (pathname.endsWith("/count_tokens")) return Response.json({ input_tokens: 100 });
      if (!pathname.endsWith("/v1/messages")) return apiError(404, `there is no ${pathname}`);
      if (silent) {
        refused += 1;
        return apiError(529, "the scripted model is silent");
      }
      const raw = await request.text();
      const body = JSON.parse(raw) as Body;
      const tools = (body.tools ?? []).map(({ name }) => name);
      if (tools.length === 0) return answer(body, { kind: "say", text: "aside", pauseMs: 0 }, ++count);
      const items = itemsOf(body);
      const move = nextMove(items);
      log.add({ at: Date.now(), path: pathname, raw, items, tools, move });
      if (move.pauseMs > 0) await Bun.sleep(move.pauseMs);
      await held.before(move);
      return answer(body, named(move, tools), ++count);
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    requests: log.requests,
    answering(on) {
      silent = !on;
    },
    refused: () => refused,
    hold: held.hold,
    close: () => server.stop(true),
  };
}

/** The conversation; reminders that the client adds are texts like any other. */
function itemsOf({ messages = [] }: Body): Item[] {
  return messages.flatMap(({ role, content }) => {
    const blocks: Block[] = typeof content === "string" ? [{ type: "text", text: content }] : content;
    return blocks.flatMap((block): Item[] => {
      if (block.type === "tool_use") return [{ kind: "call", tool: block.name ?? "", args: block.input }];
      if (block.type === "tool_result") return resultItems(textOf(block.content));
      if (block.type === "text" && role !== "assistant") return [{ kind: "text", text: block.text ?? "" }];
      return [];
    });
  });
}

/** What the client has to tell while a tool runs is put behind the tool's result, in the same block. */
function resultItems(content: string): Item[] {
  const [result = "", ...reminders] = content.split("<system-reminder>");
  return [{ kind: "result", text: result }, ...reminders.map((text): Item => ({ kind: "text", text }))];
}

function textOf(content: string | Block[] | undefined): string {
  if (typeof content === "string") return content;
  return (content ?? []).map(({ text = "" }) => text).join("");
}

/** The full name under which the model was offered the tool; an unknown one is called as it is, and fails visibly. */
function named(move: Move, tools: readonly string[]): Move {
  if (move.kind === "say") return move;
  return { ...move, tool: tools.find((name) => bareName(name) === move.tool) ?? move.tool };
}

function answer(body: Body, move: Move, count: number): Response {
  const id = `msg_scripted_${count}`;
  const block =
    move.kind === "say"
      ? { type: "text", text: move.text }
      : { type: "tool_use", id: `toolu_scripted_${Date.now()}_${count}`, name: move.tool, input: move.args };
  const stop_reason = move.kind === "say" ? "end_turn" : "tool_use";
  const message = { id, type: "message", role: "assistant", model: body.model ?? "scripted" };
  const usage = { input_tokens: 50, output_tokens: 10 };
  if (body.stream !== true)
    return Response.json({ ...message, content: [block], stop_reason, stop_sequence: null, usage });
  const empty = move.kind === "say" ? { type: "text", text: "" } : { ...block, input: {} };
  const delta =
    move.kind === "say"
      ? { type: "text_delta", text: move.text }
      : { type: "input_json_delta", partial_json: JSON.stringify(move.args) };
  const start = { ...message, content: [], stop_reason: null, stop_sequence: null, usage };
  return eventStream(
    (
      [
        ["message_start", { message: start }],
        ["content_block_start", { index: 0, content_block: empty }],
        ["content_block_delta", { index: 0, delta }],
        ["content_block_stop", { index: 0 }],
        ["message_delta", { delta: { stop_reason, stop_sequence: null }, usage: { output_tokens: 10 } }],
        ["message_stop", {}],
      ] as const
    ).map(([type, data]) => [type, { type, ...data }]),
  );
}
