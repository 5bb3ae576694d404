/** `agent-relay thread`: what was said in a thread, oldest first. */
import { limits } from "../../limits.ts";
import { messageText, type PastMessage } from "../../wire/message.ts";
import { operatorClient, type RelayOptions } from "../context.ts";
import type { Printer } from "../print.ts";

export type ThreadOptions = RelayOptions & { thread: string; limit?: number };

/** Prints the newest messages of a thread, all of them without a limit. */
export async function thread(options: ThreadOptions, print: Printer): Promise<void> {
  const client = operatorClient(options);
  const wanted = options.limit ?? Number.POSITIVE_INFINITY;
  const messages: PastMessage[] = [];
  for (let more = true; more && messages.length < wanted; ) {
    const before = messages.at(0)?.id;
    const page = await client.getThread({
      threadId: options.thread,
      ...(before === undefined ? {} : { before }),
      limit: Math.min(limits.inboxPageMax, wanted - messages.length),
    });
    messages.unshift(...page.messages);
    more = page.more && page.messages.length > 0;
  }
  print.data({ messages });
  for (const message of messages) print.line(`${messageText(message)}\n`);
  if (messages.length === 0) print.line(`there is no message of thread ${options.thread}`);
}
