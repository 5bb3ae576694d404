/** `agent-relay receipts`: how far a message has got. */
import { operatorClient, type RelayOptions } from "../context.ts";
import type { Printer } from "../print.ts";

export type ReceiptsOptions = RelayOptions & { message: string };

/** Prints the furthest step at each recipient, and when it was taken. */
export async function receipts(options: ReceiptsOptions, print: Printer): Promise<void> {
  const status = await operatorClient(options).getMessageStatus({ id: options.message });
  print.data(status);
  print.line(`message ${status.messageId} from ${status.from} to ${status.to}, thread ${status.threadId}`);
  print.table(
    ["RECIPIENT", "STEP", "AT"],
    status.recipients.map(({ name, stage, times }) => [name, stage, times[stage] ?? ""]),
  );
}
