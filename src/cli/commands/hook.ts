/** `agent-relay hook`: what a provider's hooks and status line start. It always succeeds, and prints only answers. */
import { showStatusLine, tellHook } from "../../hook.ts";

/** @param kind `status-line`, or the provider whose hook this is */
export async function hook(kind: string): Promise<void> {
  // A provider that starts it without an input gets an empty report, never a failure.
  const input = await Bun.stdin.text().catch(() => "");
  const text =
    kind === "status-line" ? await showStatusLine(process.env) : await tellHook(input, process.env);
  process.stdout.write(text);
}
