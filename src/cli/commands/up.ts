/** `agent-relay up`: the relay in the foreground until SIGINT or SIGTERM. */
import { existsSync } from "node:fs";
import { drainHome } from "../../outboxes.ts";
import { startServer } from "../../server.ts";
import type { Printer } from "../print.ts";
import { stderrLog, untilStopped } from "../process.ts";

export type UpOptions = { port: number; host: string; home: string; logLevel: string; version: string };

/** Starts the relay, prints where it is, and ends when asked. */
export async function up(options: UpOptions, print: Printer): Promise<void> {
  const stopped = untilStopped();
  const server = await startServer({
    home: options.home,
    hostname: options.host,
    port: options.port,
    version: options.version,
    log: stderrLog(options.logLevel),
  });
  const { url, mcpUrl, operatorTokenFile } = server;
  print.data({ event: "ready", url, mcpUrl, operatorTokenFile });
  const program = existsSync("bin/agent-relay") ? "bin/agent-relay" : "agent-relay";
  print.line(`${print.bold(`Agent Relay ${options.version}`)} is up at ${print.bold(url)}`);
  print.line(`  MCP for agents  ${mcpUrl}`);
  print.line(`  operator token  ${operatorTokenFile}`);
  print.line();
  print.line("Next, in another terminal:");
  print.line(
    `  ${program} run exec --name alice --relay ${url} --token-file ${operatorTokenFile} -- YOUR-AGENT`,
  );
  print.line(`  ${program} send alice 'Hello'    ${program} inbox alice    ${program} status`);
  print.line();
  print.line(print.dim("Ctrl-C stops the relay; agents go on and their writes wait for it."));
  const ending = new AbortController();
  const log = stderrLog(options.logLevel);
  const drained = drainHome(options.home, log, ending.signal).catch((error: unknown) => {
    log.warn("The writes that agents have left were not looked after", { error });
  });
  await stopped;
  ending.abort();
  await server.close();
  await drained;
}
