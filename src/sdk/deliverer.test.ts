/** What the pump learns from a relay that says: not so often. */
import { expect, test } from "bun:test";
import { RelayError } from "../wire/error.ts";
import { asId, type StoreId } from "../wire/id.ts";
import type { Client } from "./client.ts";
import { relayDeliverer } from "./deliverer.ts";

test("S18: a delivery over the rate was certainly not done, and tells how long to wait", async () => {
  const refused = new RelayError("rate_limited", "too often", { data: { retryAfterMs: 1_234 } });
  const client = { deliverRecords: () => Promise.reject(refused) } as unknown as Client;
  const delivering = relayDeliverer(client, asId<StoreId>("0198c0de-0000-7000-8000-000000000001")).deliver(
    [],
    1,
    new AbortController().signal,
  );
  expect(await delivering.catch((error: unknown) => error)).toMatchObject({
    name: "DeliveryError",
    kind: "overloaded",
    sent: "no",
    retryAfterMs: 1_234,
  });
});
