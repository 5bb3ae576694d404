/**
 * The promises of the relay's store as tests. A twin is finished when it passes them; what one twin needs beyond
 * them is tested beside it.
 */
import { describe, test } from "bun:test";
import { agentPromises, tokenPromises } from "./store-agents.ts";
import { broadcastPromises } from "./store-broadcast.ts";
import { profilePromises, renewalPromises } from "./store-identity.ts";
import { inboxPromises } from "./store-inbox.ts";
import { obligationPromises } from "./store-obligations.ts";
import { brakePromises, oversightPromises } from "./store-oversight.ts";
import { pastPromises } from "./store-past.ts";
import { receiptPromises } from "./store-receipts.ts";
import { replyPromises } from "./store-replies.ts";
import { type OpenStore, type Promises, withStore } from "./store-world.ts";
import { lanePromises, refusalPromises, writePromises } from "./store-writes.ts";

export type { OpenedStore, OpenStore } from "./store-world.ts";

const subjects: Readonly<Record<string, Promises>> = {
  writes: writePromises,
  refusals: refusalPromises,
  lanes: lanePromises,
  replies: replyPromises,
  obligations: obligationPromises,
  brakes: brakePromises,
  oversight: oversightPromises,
  inboxes: inboxPromises,
  broadcasts: broadcastPromises,
  receipts: receiptPromises,
  "looking back": pastPromises,
  agents: agentPromises,
  tokens: tokenPromises,
  renewals: renewalPromises,
  profiles: profilePromises,
};

/**
 * Registers the tests for one twin.
 * @param open opens a store without any data
 */
export function storeConformance(name: string, open: OpenStore): void {
  for (const [subject, promises] of Object.entries(subjects)) {
    describe(`${name}: ${subject}`, () => {
      for (const [title, run] of Object.entries(promises)) test(title, withStore(open, run));
    });
  }
}
