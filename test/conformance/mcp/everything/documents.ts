/** Resources, prompts and what completes their arguments. */
import {
  completable,
  inputRequired,
  type McpServer,
  type PromptMessage,
  ResourceTemplate,
} from "@modelcontextprotocol/server";
import { z } from "zod";
import { contextForm } from "./forms.ts";
import { picture, pictureType } from "./media.ts";

const say = (words: string): PromptMessage => ({ role: "user", content: { type: "text", text: words } });

export function registerResources(server: McpServer): void {
  const plain = (description: string) => ({ description, mimeType: "text/plain" });
  server.registerResource("static text", "test://static-text", plain("A text that stays"), ({ href }) => ({
    contents: [{ uri: href, mimeType: "text/plain", text: "This text stays." }],
  }));
  const pixel = { description: "A picture that stays", mimeType: pictureType };
  server.registerResource("static picture", "test://static-binary", pixel, ({ href }) => ({
    contents: [{ uri: href, mimeType: pictureType, blob: picture }],
  }));
  server.registerResource("watched", "test://watched-resource", plain("Can be watched"), ({ href }) => ({
    contents: [{ uri: href, mimeType: "text/plain", text: "Nothing has happened." }],
  }));
  const template = new ResourceTemplate("test://template/{id}/data", { list: undefined });
  const json = { description: "Data by id", mimeType: "application/json" };
  server.registerResource("data by id", template, json, ({ href }, { id }) => ({
    contents: [{ uri: href, mimeType: "application/json", text: JSON.stringify({ id, found: true }) }],
  }));
}

/** Legacy clients subscribe to a resource by its address; nothing here ever changes. */
export function registerSubscriptions(server: McpServer): void {
  server.server.registerCapabilities({ resources: { subscribe: true, listChanged: true } });
  server.server.setRequestHandler("resources/subscribe", () => ({}));
  server.server.setRequestHandler("resources/unsubscribe", () => ({}));
}

export function registerPrompts(server: McpServer): void {
  server.registerPrompt("test_simple_prompt", { description: "One message" }, () => ({
    messages: [say("A plain prompt from the fixture.")],
  }));
  const twoWords = z.object({
    arg1: completable(z.string(), (begun) =>
      ["test", "tested", "testing"].filter((word) => word.startsWith(begun)),
    ),
    arg2: z.string(),
  });
  server.registerPrompt(
    "test_prompt_with_arguments",
    { description: "Repeats its arguments", argsSchema: twoWords },
    ({ arg1, arg2 }) => ({ messages: [say(`The arguments are '${arg1}' and '${arg2}'.`)] }),
  );
  server.registerPrompt(
    "test_prompt_with_embedded_resource",
    { description: "Carries a resource", argsSchema: z.object({ resourceUri: z.string() }) },
    ({ resourceUri: uri }) => ({
      messages: [
        {
          role: "user",
          content: { type: "resource", resource: { uri, mimeType: "text/plain", text: "What it says." } },
        },
        say("Read the resource above."),
      ],
    }),
  );
  server.registerPrompt("test_prompt_with_image", { description: "Carries a picture" }, () => ({
    messages: [
      { role: "user", content: { type: "image", data: picture, mimeType: pictureType } },
      say("Look at the picture above."),
    ],
  }));
  server.registerPrompt(
    "test_input_required_result_prompt",
    { description: "Asks for its context first" },
    (ctx) => {
      const given = ctx.mcpReq.inputResponses?.user_context;
      if (given !== undefined) return { messages: [say(`The context is ${JSON.stringify(given)}.`)] };
      const question = inputRequired.elicit({ message: "In which context?", requestedSchema: contextForm });
      return inputRequired({ inputRequests: { user_context: question } });
    },
  );
}
