/** The text with which messages enter a conversation: a head of ours with the id of the delivery, then the envelopes. */
import { uuidOf } from "../wire/id.ts";
import { type Message, messageText } from "../wire/message.ts";

/** One text for the model. */
export type Delivery = { id: string; text: string };
/** A message that is to be given, and for the how many-th time. */
export type Given = { message: Message; attempt: number };

/**
 * The id of a delivery: the message's own for one that is given alone and for the first time, else made of what is in
 * it, so that the same texts given again after a crash have the same id.
 */
export function injectionId(given: readonly Given[]): string {
  const [first] = given;
  if (first !== undefined && given.length === 1 && first.attempt === 1) return first.message.id;
  return uuidOf("injection", ...given.flatMap(({ message, attempt }) => [message.id, String(attempt)]));
}

/** The text of a delivery. What was written by others stands quoted in envelopes that it cannot close. */
export function injectionText(id: string, given: readonly Given[]): string {
  const count = given.length === 1 ? "1 message" : `${given.length} messages`;
  const envelopes = given.map(({ message, attempt }) =>
    messageText(attempt > 1 ? { ...message, redelivered: true } : message),
  );
  return [`Agent Relay · ${count} for you · delivery ${id}`, ...envelopes].join("\n\n");
}
