/** `agent-relay inbox`: what an agent was sent. Reading changes nothing. */
import { limits } from "../../limits.ts";
import { type Message, messageText } from "../../wire/message.ts";
import { operatorClient, type RelayOptions } from "../context.ts";
import type { Printer } from "../print.ts";

export type InboxOptions = RelayOptions & { name: string; unread?: boolean; after?: number; limit?: number };

/** Prints the messages of an inbox in order. */
export async function inbox(options: InboxOptions, print: Printer): Promise<void> {
  const client = operatorClient(options);
  const wanted = options.limit ?? Number.POSITIVE_INFINITY;
  const messages: Message[] = [];
  let afterSeq = options.after ?? 0;
  for (let more = true; more && messages.length < wanted; ) {
    const page = await client.readInbox({
      agent: options.name,
      afterSeq,
      ...(options.unread === true ? { unread: "true" } : {}),
      limit: Math.min(limits.inboxPageMax, wanted - messages.length),
    });
    messages.push(...page.messages);
    afterSeq = page.messages.at(-1)?.seq ?? afterSeq;
    more = page.more && page.messages.length > 0;
  }
  print.data({ messages });
  for (const message of messages) print.line(`${messageText(message)}\n`);
  if (messages.length === 0)
    print.line(`${options.name} has no ${options.unread === true ? "unread " : ""}messages`);
}
