/** What a person does at a terminal until it has had its effect. */
import { until } from "../e2e/kit.ts";
import type { ClientName, Rig } from "./rig.ts";
import type { Terminal } from "./terminal.ts";

/**
 * Types words at the client's prompt, and Enter. A client draws its prompt before it takes keys, and may take an Enter that
 * comes with the words for a part of a paste: so Enter follows once the words are drawn, and what had no effect is done again.
 */
export async function typeUntilSeen(
  rig: Pick<Rig, "seenBy">,
  terminal: Terminal,
  { client, words }: { client: ClientName; words: string },
): Promise<void> {
  const screens: string[] = [];
  const drawn = () => (lettersOf(terminal.screen()).includes(lettersOf(words).slice(-40)) ? true : undefined);
  for (let attempt = 0; attempt < 3; attempt += 1) {
    terminal.press("C-u");
    terminal.write(words);
    await until("the words are drawn", drawn, 4_000).catch(() => undefined);
    for (let enter = 0; enter < 2; enter += 1) {
      terminal.press("Enter");
      const seen = until("the model has it", () => rig.seenBy(client, words)[0], 5_000);
      if ((await seen.catch(() => undefined)) !== undefined) return;
      screens.push(terminal.screen());
    }
  }
  throw new Error(`Nothing of what was typed arrived; the screens were ${screens.join("\n---\n")}`);
}

/** Only letters and digits: a screen breaks words where its line ends. */
function lettersOf(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9]/g, "");
}

/** Presses a key, again and again with a pause, until something is so. */
export async function pressUntil<Value>(
  terminal: Terminal,
  key: string,
  probe: () => Value | undefined,
): Promise<Value> {
  for (let attempt = 0; attempt < 8; attempt += 1) {
    terminal.press(key);
    const found = await until("the key has worked", probe, 4_000).catch(() => undefined);
    if (found !== undefined) return found;
  }
  throw new Error(`Pressing ${key} did not work; the screen is ${terminal.screen()}`);
}
