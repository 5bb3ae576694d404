/** Which of the waiting messages go into the next text. Pure. */
import type { Limits } from "../limits.ts";
import type { Message } from "../wire/message.ts";
import type { Item } from "./item.ts";

/** A message that this runner holds for its agent. */
export type Held = { readonly message: Message; readonly item: Item };

/**
 * The next messages in the order of their seq, within the bounds of one text; one message is always among them.
 * @param urgentOnly a turn runs: what is not urgent waits for its end
 */
export function choose(
  held: Iterable<Held>,
  urgentOnly: boolean,
  limits: Pick<Limits, "injectionMessagesMax" | "injectionBytesMax">,
): Held[] {
  const wanted = [...held]
    .filter(({ item, message }) => item.state === "waiting" && (!urgentOnly || message.urgent === true))
    .sort((a, b) => a.message.seq - b.message.seq);
  const chosen: Held[] = [];
  let bytes = 0;
  for (const one of wanted.slice(0, limits.injectionMessagesMax)) {
    bytes += Buffer.byteLength(one.message.body);
    if (chosen.length > 0 && bytes > limits.injectionBytesMax) break;
    chosen.push(one);
  }
  return chosen;
}
