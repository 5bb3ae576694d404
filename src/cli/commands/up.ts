/** `agent-relay up`: the relay in the foreground until SIGINT or SIGTERM. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { readPrivate } from "../../base/file.ts";
import { drainHome } from "../../outboxes.ts";
import { startServer } from "../../server.ts";
import { CliError, type Printer } from "../print.ts";
import { stderrLog, untilStopped } from "../process.ts";

export type UpOptions = {
  tlsCert?: string;
  tlsKey?: string;
  allowHost?: string[];
  insecureBind?: boolean;
  port: number;
  host: string;
  home: string;
  logLevel: string;
  version: string;
  retentionDays?: number;
};

const dayMs = 24 * 60 * 60 * 1_000;

/** Starts the relay, prints where it is, and ends when asked. */
export async function up(options: UpOptions, print: Printer): Promise<void> {
  const stopped = untilStopped();
  const server = await startServer({
    home: options.home,
    hostname: options.host,
    port: options.port,
    ...bindingOf(options),
    version: options.version,
    log: stderrLog(options.logLevel),
    ...(options.retentionDays === undefined ? {} : { retentionMs: options.retentionDays * dayMs }),
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

/** How it listens: TLS, names, and whether it may do without TLS. */
function bindingOf(options: UpOptions): Partial<Parameters<typeof startServer>[0]> {
  const { tlsCert, tlsKey, allowHost, insecureBind } = options;
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw new CliError("usage", "Speak TLS: --tls-cert and --tls-key were wanted, one of them was given");
  }
  return {
    ...(tlsCert === undefined || tlsKey === undefined ? {} : { tls: tlsOf(tlsCert, tlsKey) }),
    ...(allowHost === undefined ? {} : { allowHosts: allowHost }),
    ...(insecureBind === undefined ? {} : { insecureBind }),
  };
}

function tlsOf(certFile: string, keyFile: string): { cert: string; key: string } {
  for (const file of [certFile, keyFile]) {
    if (!existsSync(file)) throw new CliError("usage", `Speak TLS: there is no ${file}`);
  }
  // A key that others can read is refused.
  const key = readPrivate(keyFile) ?? "";
  const cert = readFileSync(certFile, "utf8");
  const why = mismatch(cert, key);
  if (why !== undefined) throw new CliError("usage", `Speak TLS with ${certFile} and ${keyFile}: ${why}`);
  return { cert, key };
}

/** Why these cannot be used together; undefined when they can. */
function mismatch(cert: string, key: string): string | undefined {
  try {
    const matches = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
    return matches ? undefined : "the key is not that of the certificate";
  } catch {
    return "a certificate and its key in PEM were wanted";
  }
}
