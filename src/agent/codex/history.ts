/** What a conversation of Codex holds already, asked from its app-server: newest first, as far back as the bound says. */
import { type Connection, type Members, members, text } from "./connection.ts";

export type History = {
  link: Connection;
  threadId: string /** Items looked through at most. */;
  items: number;
};

/** The injections in the conversation, with the turns they belong to. */
export async function injectionsIn({
  link,
  threadId,
  items,
}: History): Promise<{ injection: string; turn: string | undefined }[]> {
  const entries = await page(link, "thread/items/list", { threadId, limit: items, sortDirection: "desc" });
  return entries.flatMap((entry) => {
    const item = members(entry.item);
    const injection = item.type === "userMessage" ? text(item.clientId) : undefined;
    return injection === undefined ? [] : [{ injection, turn: text(entry.turnId) }];
  });
}

/** The newest turn as the notifications that a client would have got; without its end while it runs. */
export async function newestTurn({ link, threadId }: History): Promise<[string, Members][]> {
  const [turn] = await page(link, "thread/turns/list", { threadId, limit: 1 });
  if (turn === undefined) return [];
  const items = Array.isArray(turn.items) ? turn.items : [];
  return [
    ["turn/started", { threadId, turn }],
    ...items.map((item): [string, Members] => ["item/completed", { threadId, turn, item }]),
    ...(turn.status === "inProgress" ? [] : [["turn/completed", { threadId, turn }] as [string, Members]]),
  ];
}

/** Which of these the conversation holds, and whether the turn that had it was completed. */
export async function lookFor(
  history: History,
  injections: readonly string[],
): Promise<ReadonlyMap<string, "taken" | "done">> {
  const found = (await injectionsIn(history)).filter(({ injection }) => injections.includes(injection));
  if (found.length === 0) return new Map();
  const { link, threadId, items: limit } = history;
  const turns = await page(link, "thread/turns/list", { threadId, limit });
  const completed = turns.filter(({ status }) => status === "completed").map(({ id }) => id);
  return new Map(
    found.map(({ injection, turn }) => [injection, completed.includes(turn) ? "done" : "taken"] as const),
  );
}

async function page(link: Connection, method: string, params: Record<string, unknown>): Promise<Members[]> {
  const answer = await link.request(method, params);
  const data = answer.status === "done" ? members(answer.result).data : undefined;
  return Array.isArray(data) ? data.map(members) : [];
}
