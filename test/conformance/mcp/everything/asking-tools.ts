/**
 * Tools that need something from the client before they can answer: a form, a model's words, its roots. They return
 * `input_required`; for a legacy session the SDK turns that into requests to the client.
 */
import {
  acceptedContent,
  type CallToolResult,
  CLIENT_CAPABILITIES_META_KEY,
  fromJsonSchema,
  type InputRequests,
  inputRequired,
  inputResponse,
  type McpServer,
  type ServerContext,
} from "@modelcontextprotocol/server";
import {
  colourForm,
  confirmForm,
  defaultsForm,
  enumsForm,
  type Form,
  nameForm,
  personForm,
} from "./forms.ts";
import type { World } from "./world.ts";

type Asking = Awaited<ReturnType<typeof inputRequired>> | CallToolResult;
type Responses = ServerContext["mcpReq"]["inputResponses"];

const answer = (words: string): CallToolResult => ({ content: [{ type: "text", text: words }] });
const form = (message: string, requestedSchema: Form) => inputRequired.elicit({ message, requestedSchema });
const sample = (words: string) =>
  inputRequired.createMessage({
    messages: [{ role: "user", content: { type: "text", text: words } }],
    maxTokens: 100,
  });

/** True when every question has an answer. */
function answered(responses: Responses, questions: InputRequests): boolean {
  return Object.keys(questions).every((key) => inputResponse(responses, key).kind !== "missing");
}

/** Asks until every question has an answer, then says what was answered. */
function ask(ctx: ServerContext, questions: InputRequests): Asking {
  const responses = ctx.mcpReq.inputResponses;
  if (!answered(responses, questions)) return inputRequired({ inputRequests: questions });
  return answer(`The client answered: ${JSON.stringify(responses)}`);
}

/** The same with a state that the client has to bring back. */
async function askWithState(world: World, ctx: ServerContext, tool: string, questions: InputRequests) {
  const state = ctx.mcpReq.requestState<{ tool: string }>();
  if (state?.tool === tool && answered(ctx.mcpReq.inputResponses, questions)) {
    return answer("state-ok: the client brought the state back.");
  }
  const requestState = await world.codec.mint({ tool, round: 1 });
  return inputRequired({ inputRequests: questions, requestState });
}

/** Two forms one after the other, with another state for each. */
async function askTwice(world: World, ctx: ServerContext): Promise<Asking> {
  const tool = "test_input_required_result_multi_round";
  const round = ctx.mcpReq.requestState<{ round: number }>()?.round ?? 0;
  const rounds: InputRequests[] = [
    { step1: form("What is your name?", nameForm) },
    { step2: form("Which colour do you like?", colourForm) },
  ];
  const current = rounds[round - 1];
  const next = current === undefined || answered(ctx.mcpReq.inputResponses, current) ? round : round - 1;
  const questions = rounds[next];
  if (questions === undefined) return answer("Both questions were answered.");
  const requestState = await world.codec.mint({ tool, round: next + 1 });
  return inputRequired({ inputRequests: questions, requestState });
}

/** Asks only for what the client said it can give. */
function askWithinCapabilities(ctx: ServerContext): Asking {
  const envelope: Record<string, unknown> = ctx.mcpReq.envelope ?? {};
  const declared = Object(envelope[CLIENT_CAPABILITIES_META_KEY]);
  const questions: InputRequests = {
    ...("sampling" in declared ? { words: sample("Say one word") } : {}),
    ...("elicitation" in declared ? { name: form("What is your name?", nameForm) } : {}),
  };
  return Object.keys(questions).length === 0 ? answer("The client can give nothing.") : ask(ctx, questions);
}

function greet(ctx: ServerContext): Asking {
  const accepted = acceptedContent<{ name?: unknown }>(ctx.mcpReq.inputResponses, "user_name");
  if (typeof accepted?.name === "string") return answer(`Hello, ${accepted.name}!`);
  return inputRequired({ inputRequests: { user_name: form("What is your name?", nameForm) } });
}

/** Questions of the tools that ask once and remember nothing. */
const onceTools: Record<string, InputRequests> = {
  test_elicitation_sep1034_defaults: { values: form("Check these values", defaultsForm) },
  test_elicitation_sep1330_enums: { choices: form("Choose from these lists", enumsForm) },
  test_missing_capability: { words: sample("Say one word") },
  test_streaming_elicitation: { person: form("Who are you?", personForm) },
  test_input_required_result_sampling: { capital_question: sample("What is the capital of France?") },
  test_input_required_result_list_roots: { client_roots: inputRequired.listRoots() },
};

/** Questions of the tools that send a state along. */
const statefulTools: Record<string, InputRequests> = {
  test_input_required_result_request_state: { confirm: form("Is that right?", confirmForm) },
  test_input_required_result_tampered_state: { confirm: form("Is that right?", confirmForm) },
  test_input_required_result_multiple_inputs: {
    user_name: form("What is your name?", nameForm),
    greeting: sample("Greet somebody"),
    client_roots: inputRequired.listRoots(),
  },
};

export function registerAskingTools(server: McpServer, world: World): void {
  for (const [name, questions] of Object.entries(onceTools)) {
    server.registerTool(name, { description: "Asks the client once" }, (ctx) => ask(ctx, questions));
  }
  for (const [name, questions] of Object.entries(statefulTools)) {
    const description = "Asks the client and sends a state along";
    server.registerTool(name, { description }, (ctx) => askWithState(world, ctx, name, questions));
  }
  const words = (name: string) =>
    fromJsonSchema<Record<string, string>>({
      type: "object",
      properties: { [name]: { type: "string" } },
      required: [name],
    });
  server.registerTool(
    "test_sampling",
    { description: "Asks the client's model", inputSchema: words("prompt") },
    ({ prompt = "" }, ctx) => ask(ctx, { words: sample(prompt) }),
  );
  server.registerTool(
    "test_elicitation",
    { description: "Asks the user of the client", inputSchema: words("message") },
    ({ message = "" }, ctx) => ask(ctx, { person: form(message, personForm) }),
  );
  const one = { description: "Asks for a name and greets" };
  server.registerTool("test_input_required_result_elicitation", one, greet);
  const two = { description: "Asks two questions one after the other" };
  server.registerTool("test_input_required_result_multi_round", two, (ctx) => askTwice(world, ctx));
  const some = { description: "Asks for what the client can give" };
  server.registerTool("test_input_required_result_capabilities", some, askWithinCapabilities);
}
