/** `agent-relay proxy`: the endpoint in front of any MCP server, in the foreground. */
import { readFileSync } from "node:fs";
import { authorityFrom } from "../../base/authority.ts";
import { openPolicy, type Policy, PolicyError, parsePolicyText, startUpstreamProxy } from "../../upstream.ts";
import { parseUrl, readTokenFile } from "../context.ts";
import { CliError, type Printer } from "../print.ts";
import { stderrLog, untilStopped } from "../process.ts";

export type ProxyOptions = {
  upstream: string;
  upstreamCa?: string;
  tokenFile?: string;
  policy?: string;
  port: number;
  home: string;
  logLevel: string;
  version: string;
};

/** Serves until SIGINT or SIGTERM. */
export async function proxy(options: ProxyOptions, print: Printer): Promise<void> {
  const { tokenFile, upstreamCa } = options;
  const stopped = untilStopped();
  const served = await startUpstreamProxy({
    home: options.home,
    upstreamUrl: parseUrl("--upstream", options.upstream),
    ca: upstreamCa === undefined ? undefined : readAuthority(upstreamCa),
    policy: options.policy === undefined ? openPolicy : readPolicy(options.policy),
    port: options.port,
    version: options.version,
    readToken: tokenFile === undefined ? undefined : () => readTokenFile(tokenFile, false),
    log: stderrLog(options.logLevel),
  });
  print.data({ event: "ready", url: served.url, secretFile: served.secretFile });
  print.line(`${print.bold(served.url)} serves ${options.upstream}`);
  print.line(`  clients send   Authorization: Bearer <content of ${served.secretFile}>`);
  print.line(print.dim("Ctrl-C stops it."));
  await stopped;
  const { left, folder } = await served.close();
  if (left > 0)
    process.stderr.write(`agent-relay: ${left} writes wait in ${folder}; the next start delivers them\n`);
}

function readAuthority(path: string): string {
  const text = authorityFrom(path);
  if (text === undefined) throw new CliError("usage", `Read --upstream-ca: there is no ${path}`);
  if (text.includes("-----BEGIN CERTIFICATE-----")) return text;
  throw new CliError("usage", `Read --upstream-ca ${path}: it holds no certificate in PEM`);
}

function readPolicy(path: string): Policy {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new CliError(
      "usage",
      `Read the policy ${path}: ${cause instanceof Error ? cause.message : cause}`,
      cause,
    );
  }
  try {
    return parsePolicyText(text);
  } catch (cause) {
    const why = cause instanceof PolicyError || cause instanceof SyntaxError ? cause.message : String(cause);
    throw new CliError("usage", `Read the policy ${path}: ${why}`, cause);
  }
}
