/** `agent-relay send`: a message from the operator. */
import { operatorClient, type RelayOptions } from "../context.ts";
import { CliError, type Printer } from "../print.ts";

export type SendOptions = RelayOptions & {
  name: string;
  text: string[];
  thread?: string;
  expectsReply?: boolean;
  replyBy?: string;
  urgent?: boolean;
  forward?: string;
  key?: string;
};

/** Sends the text and prints its receipt. */
export async function send(options: SendOptions, print: Printer): Promise<void> {
  const fromInput = options.text.length === 1 && options.text[0] === "-";
  const body = fromInput ? await Bun.stdin.text() : options.text.join(" ");
  if (body.trim() === "") throw new CliError("usage", "Send a message: the text is empty");
  const receipt = await operatorClient(options).sendMessage({
    to: options.name,
    body,
    ...(options.thread === undefined ? {} : { threadId: options.thread }),
    ...(options.expectsReply === undefined ? {} : { expectsReply: options.expectsReply }),
    ...(options.replyBy === undefined ? {} : { replyBy: options.replyBy }),
    ...(options.urgent === true ? { priority: "urgent" } : {}),
    ...(options.forward === undefined ? {} : { forwardOf: options.forward }),
    ...(options.key === undefined ? {} : { idempotencyKey: options.key }),
  });
  print.data(receipt);
  print.line(`${receipt.delivery}: message ${receipt.messageId} to ${options.name}`);
}
