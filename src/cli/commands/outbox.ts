/** `agent-relay outbox ls`: writes on this machine that wait, or that have ended lately. */
import { realClock } from "../../base/clock.ts";
import { localRecords } from "../../runner-parts.ts";
import { ageText, type Printer } from "../print.ts";

export type OutboxListOptions = { home: string; name?: string; all?: boolean };

/** Prints the records of all outboxes of the home. */
export async function outboxList(options: OutboxListOptions, print: Printer): Promise<void> {
  const found = await localRecords(options.home, options.name);
  const records = found.filter(({ state }) => options.all === true || state !== "sent");
  print.data({ records });
  if (records.length === 0) {
    print.line(
      options.name === undefined ? "Nothing waits on this machine" : `Nothing of ${options.name} waits here`,
    );
    return;
  }
  const now = realClock.now();
  print.table(
    ["OUTBOX", "STATE", "TOOL", "TO", "AGE", "TRIES", "KEY", "LAST ERROR"],
    records.map((record) => [
      record.outbox,
      record.state,
      record.tool,
      record.to ?? "",
      ageText(now - Date.parse(record.enqueuedAt)),
      String(record.attempts),
      record.key,
      record.lastError ?? "",
    ]),
  );
}
