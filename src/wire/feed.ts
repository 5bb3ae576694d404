/**
 * The feed of one principal as server-sent events. Only inbox items carry a cursor; everything else is a hint
 * after which the client reads a snapshot.
 */
import { z } from "zod";
import { messageSchema } from "./message.ts";

/** A position in an inbox. `generation` changes when the database was restored; cursors of another one are void. */
export type Cursor = { readonly generation: number; readonly seq: number };

/** The text of a cursor: the SSE event id. */
export function cursorText(cursor: Cursor): string {
  return `${cursor.generation}:${cursor.seq}`;
}

/** The cursor of a text, or undefined when it is not one. */
export function parseCursor(text: string): Cursor | undefined {
  const match = /^([1-9]\d{0,9}):(\d{1,15})$/.exec(text);
  return match === null ? undefined : { generation: Number(match[1]), seq: Number(match[2]) };
}

/** What a hint may be about. */
export const hintSubjects = ["token", "profile", "agents", "presence", "inbox", "obligations"] as const;

export const feedEventSchema = z.discriminatedUnion("type", [
  /** First event of every stream: where it begins. `reset` when the asked cursor was void or too old. */
  z.object({ type: z.literal("hello"), generation: z.number(), seq: z.number(), reset: z.boolean() }),
  z.object({ type: z.literal("message"), message: messageSchema }),
  /** The relay has just looked into the inbox: there is nothing up to this seq that was not sent. */
  z.object({ type: z.literal("alive"), seq: z.number() }),
  z.object({ type: z.literal("changed"), subject: z.enum(hintSubjects) }),
]);
export type FeedEvent = z.infer<typeof feedEventSchema>;
