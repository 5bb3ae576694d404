/** `agent-relay search`: messages with all the words, newest first. */
import { limits } from "../../limits.ts";
import { messageText, type PastMessage } from "../../wire/message.ts";
import { operatorClient, type RelayOptions } from "../context.ts";
import type { Printer } from "../print.ts";

export type SearchOptions = RelayOptions & { words: string[]; agent?: string; limit?: number };

/** Prints what was found; long texts are cut. */
export async function search(options: SearchOptions, print: Printer): Promise<void> {
  const client = operatorClient(options);
  const wanted = options.limit ?? limits.searchPageDefault;
  const messages: PastMessage[] = [];
  let more = true;
  while (more && messages.length < wanted) {
    const before = messages.at(-1)?.id;
    const page = await client.searchMessages({
      ...(options.words.length === 0 ? {} : { query: options.words.join(" ") }),
      ...(options.agent === undefined ? {} : { agent: options.agent }),
      ...(before === undefined ? {} : { before }),
      limit: Math.min(limits.inboxPageMax, wanted - messages.length),
    });
    messages.push(...page.messages);
    more = page.more && page.messages.length > 0;
  }
  print.data({ messages, more });
  for (const message of messages) print.line(`${messageText(message)}\n`);
  if (messages.length === 0) print.line("no message was found");
  else if (more) print.line(print.dim("there are older ones: --limit gives more"));
}
