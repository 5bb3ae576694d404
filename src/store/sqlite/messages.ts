/** Everything about messages in SQLite, as one group of verbs. */
import type { Database } from "bun:sqlite";
import { channelVerbs } from "./channels.ts";
import { forgetVerbs } from "./forget.ts";
import { inboxVerbs } from "./inbox.ts";
import { pastVerbs } from "./past.ts";
import { receiptVerbs } from "./receipts.ts";
import { writeVerbs } from "./writes.ts";

/** The verbs about messages. Every call belongs inside a transaction. */
export function messageVerbs(database: Database) {
  return {
    ...writeVerbs(database),
    ...inboxVerbs(database),
    ...receiptVerbs(database),
    ...pastVerbs(database),
    ...channelVerbs(database),
    ...forgetVerbs(database),
  };
}
