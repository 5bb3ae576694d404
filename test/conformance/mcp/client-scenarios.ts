/** What the client does in each scenario of the official client suite, and at which versions the suite runs it. */
import type { Client } from "@modelcontextprotocol/client";
import { z } from "zod";

type Version = "2025-11-25" | "2026-07-28";
export type ClientScenario = {
  readonly versions: readonly Version[];
  /** @param context JSON that the suite gives to some scenarios */
  run(client: Client, context: string): Promise<unknown>;
};

const legacy: readonly Version[] = ["2025-11-25"];
const modern: readonly Version[] = ["2026-07-28"];
const both: readonly Version[] = [...legacy, ...modern];

const callsSchema = z.object({
  toolCalls: z.array(z.object({ name: z.string(), arguments: z.record(z.string(), z.unknown()) })),
});

async function call(client: Client, name: string, given: Record<string, unknown> = {}): Promise<void> {
  await client.callTool({ name, arguments: given });
}

/** Every tool that the client has left in the list, with a text or a number for each argument. */
async function callListed(client: Client): Promise<void> {
  const { tools } = await client.listTools();
  for (const { name, inputSchema } of tools) {
    const properties = Object.keys(inputSchema.properties ?? {});
    await call(client, name, Object.fromEntries(properties.map((property) => [property, "value"])));
  }
}

async function readEverything(client: Client): Promise<void> {
  await callListed(client);
  const { resources } = await client.listResources();
  for (const { uri } of resources) await client.readResource({ uri });
  const { prompts } = await client.listPrompts();
  for (const { name } of prompts) await client.getPrompt({ name });
}

async function echoSchema(client: Client): Promise<void> {
  const { tools } = await client.listTools();
  const rich = tools.find(({ name }) => name === "json_schema_2020_12_tool");
  await call(client, "json_schema_echo", { schema: rich?.inputSchema });
}

/** For a request whose answer the suite's server makes up: what counts is what the client sent. */
async function whateverComes(request: Promise<unknown>): Promise<void> {
  await request.catch((error: unknown) => console.error(`not accepted: ${error}`));
}

/** A list, which the proxy knows by itself, and a request that goes through it with what the client declared. */
async function listAndAsk(client: Client): Promise<void> {
  await client.listTools();
  await whateverComes(client.getPrompt({ name: "any" }));
}

/** A call with rounds, an unrelated call between, and the two that must not be repeated or carry a state. */
async function rounds(client: Client): Promise<void> {
  await client.listTools();
  client.setRequestHandler("elicitation/create", async () => {
    await call(client, "test_mrtr_unrelated");
    return { action: "accept", content: { confirmed: true } };
  });
  await call(client, "test_mrtr_echo_state");
  await call(client, "test_mrtr_no_state");
  // The SDK refuses a result without its type; what counts is that it does not take it for a question.
  await whateverComes(call(client, "test_mrtr_no_result_type"));
}

async function callAsTold(client: Client, context: string): Promise<void> {
  await client.listTools();
  for (const { name, arguments: given } of callsSchema.parse(JSON.parse(context)).toolCalls) {
    await call(client, name, given);
  }
}

/** Every scenario of the requirement sets but those of `auth/`, which test an OAuth client. */
export const scenarios: Readonly<Record<string, ClientScenario>> = {
  initialize: { versions: legacy, run: (client) => client.listTools() },
  tools_call: {
    versions: both,
    async run(client) {
      await client.listTools();
      await call(client, "add_numbers", { a: 2, b: 3 });
    },
  },
  "elicitation-sep1034-client-defaults": { versions: legacy, run: callListed },
  "sse-retry": { versions: legacy, run: callListed },
  "request-metadata": { versions: modern, run: listAndAsk },
  "sep-2322-client-request-state": { versions: modern, run: rounds },
  "http-standard-headers": { versions: modern, run: readEverything },
  "http-custom-headers": { versions: modern, run: callAsTold },
  "http-invalid-tool-headers": { versions: modern, run: callListed },
  "json-schema-ref-no-deref": { versions: modern, run: (client) => client.listTools() },
  "json-schema-2020-12-preservation": { versions: both, run: echoSchema },
};
