/** A relay as a process of its own, for tests that kill it: `agent-relay up` on a home, and how long it took to come up. */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { z } from "zod";

const root = resolve(import.meta.dir, "../..");
const readySchema = z.object({ url: z.string(), operatorTokenFile: z.string() });

export type RelayProcess = {
  url: string;
  operatorToken: string;
  /** From the start of the process until it said that it is ready, ms. */
  startMs: number;
  /** Ends it without a warning; resolves when it is gone. */
  kill(): Promise<void>;
  /** Asks it to end; its exit code. */
  stop(): Promise<number>;
};

/** Starts a relay; throws when it ends, or says nothing within 20 s. */
export async function startRelayProcess(home: string, more: readonly string[] = []): Promise<RelayProcess> {
  const began = performance.now();
  const command = [join(root, "bin/agent-relay"), "up", "--port", "0", "--home", home, "--json", ...more];
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const errors = new Response(child.stderr).text();
  const timer = setTimeout(() => child.kill("SIGKILL"), 20_000);
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of child.stdout) {
    text += decoder.decode(chunk, { stream: true });
    if (text.includes("\n")) break;
  }
  clearTimeout(timer);
  const startMs = performance.now() - began;
  if (!text.includes("\n")) throw new Error(`Start a relay: it ended: ${(await errors).slice(-800)}`);
  const { url, operatorTokenFile } = readySchema.parse(JSON.parse(text));
  return {
    url,
    operatorToken: readFileSync(operatorTokenFile, "utf8").trim(),
    startMs,
    async kill() {
      child.kill("SIGKILL");
      await child.exited;
    },
    async stop() {
      child.kill("SIGTERM");
      return child.exited;
    },
  };
}
