/** `agent-relay outstanding` and `decline`: replies that are owed. */
import { realClock } from "../../base/clock.ts";
import { plainText } from "../../wire/message.ts";
import { operatorClient, type RelayOptions } from "../context.ts";
import { ageText, type Printer } from "../print.ts";

/** Characters of a message that fit into a line. */
const excerptWidth = 60;

/** Prints what is owed. */
export async function outstanding(options: RelayOptions & { name?: string }, print: Printer): Promise<void> {
  const { name } = options;
  const reply = await operatorClient(options).listObligations(name === undefined ? {} : { agent: name });
  print.data(reply);
  if (reply.obligations.length === 0) return print.line("No replies are owed");
  print.table(
    ["FROM", "TO", "STATE", "AGE", "WANTED BY", "MESSAGE", "TEXT"],
    reply.obligations.map((one) => [
      one.debtor,
      one.creditor,
      one.state,
      ageText(realClock.now() - Date.parse(one.askedAt)),
      one.replyBy ?? "",
      one.messageId,
      plainText(one.excerpt).replaceAll(/\s+/g, " ").slice(0, excerptWidth),
    ]),
  );
  if (reply.more) print.line(print.dim("There are more than these"));
}

/** Declines a reply that the operator owes. */
export async function decline(
  options: RelayOptions & { message: string; reason: string[] },
  print: Printer,
): Promise<void> {
  const { message, reason } = options;
  const receipt = await operatorClient(options).declineObligation({
    messageId: message,
    reason: reason.join(" "),
  });
  print.data(receipt);
  print.line(`declined: message ${receipt.messageId} tells the one who asked`);
}
