/**
 * The points at which the rig kills a process, by name. Those of SQL are hit inside the worker that holds the file,
 * those of delivery around the deliverer, those of the agent when its ledger has the answer. The product has no hooks.
 */

/** When a statement or a commit of a worker is the point. `of`: what the transaction has written. */
export type SqlPoint = {
  readonly at: "statement" | "commit";
  readonly when: "before" | "after" | "during";
  readonly of: RegExp;
};

export const sqlPoints = {
  "before-insert": { at: "statement", when: "before", of: /INSERT INTO records/i },
  "before-commit": { at: "commit", when: "before", of: /INSERT INTO records/i },
  "after-commit": { at: "commit", when: "after", of: /INSERT INTO records/i },
  "mid-settle": { at: "commit", when: "before", of: /UPDATE records SET[^;]*ended_at = /i },
  "after-settle": { at: "commit", when: "after", of: /UPDATE records SET[^;]*ended_at = /i },
  "mid-checkpoint": { at: "commit", when: "during", of: /INSERT INTO records/i },
  "mid-open": { at: "commit", when: "before", of: /UPDATE store SET epoch/i },
  "relay-mid-transaction": { at: "statement", when: "before", of: /INSERT INTO outcomes/i },
  "relay-before-commit": { at: "commit", when: "before", of: /INSERT INTO outcomes/i },
  "relay-after-commit": { at: "commit", when: "after", of: /INSERT INTO outcomes/i },
} as const satisfies Record<string, SqlPoint>;

export type SqlPointName = keyof typeof sqlPoints;

/** Points around a delivery: its request is on the way; its answer is here and nothing is settled. */
export const deliveryPoints = ["mid-request", "after-response"] as const;
export type DeliveryPointName = (typeof deliveryPoints)[number];

/** `after-reply`: the agent has its answer. */
export type PointName = SqlPointName | DeliveryPointName | "after-reply";

/** What a process is told to die of: the point, at which occurrence since its start, where to write that it did. */
export type Crash = { point: SqlPointName | DeliveryPointName; nth: number; hits: string };

/** Variable that carries a `Crash` as JSON. */
export const crashVariable = "RIG_CRASH";
/** Variable that makes the worker's file `synchronous=NORMAL` behind the product's back. */
export const lazySyncVariable = "RIG_SYNC_NORMAL";
