/** What a person does at a terminal until it has had its effect. */
import { until } from "../e2e/kit.ts";
import type { ClientName, Rig } from "./rig.ts";
import type { Terminal } from "./terminal.ts";

/** A client draws its prompt before it takes keys; a person whose words were swallowed types them again. */
export async function typeUntilSeen(
  rig: Pick<Rig, "seenBy">,
  terminal: Terminal,
  { client, words }: { client: ClientName; words: string },
): Promise<void> {
  const seen = () => until("the model has it", () => rig.seenBy(client, words)[0], 10_000);
  for (let attempt = 0; attempt < 4; attempt += 1) {
    terminal.press("C-u");
    await terminal.type(words);
    if ((await seen().catch(() => undefined)) !== undefined) return;
  }
  throw new Error(`Nothing of what was typed arrived; the screen is ${terminal.screen()}`);
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
