/** What people may do with an outbox, the same whether its owner runs or nobody does. Each is audited before it is done. */
import { z } from "zod";
import type { RecordDetail, RecordView } from "../wire/write.ts";

export const outboxActions = ["drop", "retry", "pause", "resume"] as const;
export type OutboxAction = (typeof outboxActions)[number];

/** What is asked: records by their numbers in this outbox; none for `pause` and `resume`. */
export type ActionRequest = { action: OutboxAction; ids: readonly number[] };

export const actionReplySchema = z.object({
  /** Records it was done to; 1 for `pause` and `resume`. */
  done: z.number().int(),
  refused: z.array(z.object({ id: z.number(), reason: z.string() })),
});
export type ActionReply = z.infer<typeof actionReplySchema>;

/** What an open outbox does for people. */
export type ActionTarget = {
  records(options?: { limit?: number }): Promise<RecordView[]>;
  show(id: number, options?: { body?: boolean }): Promise<RecordDetail | undefined>;
  drop(ids: readonly number[]): Promise<number>;
  retry(
    id: number,
  ): Promise<{ status: "stored" | "unknown" } | { status: "refused"; reason: string } | { status: "full" }>;
  pause(paused: boolean): Promise<void>;
};

/**
 * Does what is asked.
 * @param audit is called before anything is done; nothing is done when it throws
 */
export async function act(
  target: ActionTarget,
  { action, ids }: ActionRequest,
  audit: (action: OutboxAction, keys: readonly string[]) => void,
): Promise<ActionReply> {
  const records = new Map((await target.records()).map((record) => [record.id, record]));
  const known = ids.flatMap((id) => records.get(id) ?? []);
  const refused = ids
    .filter((id) => !records.has(id))
    .map((id) => ({ id, reason: "there is no such record" }));
  audit(
    action,
    known.map(({ key }) => key),
  );
  if (action === "pause" || action === "resume") {
    await target.pause(action === "pause");
    return { done: 1, refused: [] };
  }
  return action === "drop" ? drop(target, known, refused) : retry(target, known, refused);
}

type Refused = ActionReply["refused"];

async function drop(
  target: ActionTarget,
  known: readonly RecordView[],
  refused: Refused,
): Promise<ActionReply> {
  const waiting = known.filter(({ state }) => state === "queued" || state === "sending");
  const done = await target.drop(waiting.map(({ id }) => id));
  const ended = known.filter((record) => !waiting.includes(record));
  return { done, refused: [...refused, ...ended.map(({ id, state }) => ({ id, reason: `it is ${state}` }))] };
}

async function retry(
  target: ActionTarget,
  known: readonly RecordView[],
  refused: Refused,
): Promise<ActionReply> {
  let done = 0;
  for (const { id } of known) {
    const reply = await target.retry(id);
    if (reply.status === "stored") done += 1;
    else refused.push({ id, reason: reasonOf(reply) });
  }
  return { done, refused };
}

function reasonOf(reply: Exclude<Awaited<ReturnType<ActionTarget["retry"]>>, { status: "stored" }>): string {
  if (reply.status === "refused" && "reason" in reply) return reply.reason;
  return reply.status === "full" ? "the outbox is full" : "there is no such record";
}
