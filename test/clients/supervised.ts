/**
 * A runner under the supervisor that `docs/sessions.md` names: a shell that starts the same command again. And what is
 * kept over its death: the address of its endpoint and the secret, compared and never shown.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { askControl } from "../../src/runner/ask-control.ts";
import { type ControlPath, controlPaths } from "../../src/runner/control-paths.ts";
import { listInfoFiles, type RunnerInfo } from "../../src/runner/info-file.ts";
import { program, type Ready, type Serving, until } from "../e2e/kit.ts";
import { isAlive } from "../fixtures/agents/agents.ts";
import type { ClientName, Rig } from "./rig.ts";
import type { Terminal } from "./terminal.ts";
import { waitMs } from "./watched.ts";

/** As the document has it. */
const loop = 'until "$@"; do sleep 1; done';

export type Supervised = {
  /** The ready line of start number `index`. */
  ready(index: number): Promise<Ready>;
  shell: Serving;
  /** Ends the supervisor first, then its runner. */
  stop(): Promise<void>;
};

/** Runs `agent-relay` with these arguments under it. */
export function superviseRun(rig: Rig, command: readonly string[]): Supervised {
  const { env, work } = { ...rig.person };
  const args = command.flatMap((arg) => (arg === "HOME" ? ["--home", rig.world.home] : [arg]));
  const shell = rig.world.start(["-c", loop, "sh", program, ...args], { program: "/bin/sh", env, cwd: work });
  const readyLines = () =>
    shell
      .lines()
      .map((line) => JSON.parse(line) as Ready)
      .filter(({ event }) => event === "ready");
  return {
    shell,
    ready: (index) =>
      until(`start ${index + 1} of the runner`, () => readyLines()[index], 30_000).catch((error: unknown) => {
        throw new Error(`${error}: it said ${shell.stderr().slice(-3_000)}`);
      }),
    async stop() {
      shell.signal("SIGKILL");
      await shell.ended;
      const pid = readyLines().at(-1)?.pid ?? 0;
      if (pid === 0 || !isAlive(pid)) return;
      process.kill(pid, "SIGTERM");
      await until("the runner has ended", () => !isAlive(pid) || undefined, 20_000);
    },
  };
}

/** What the machine knows of its one runner. */
export function runnerOf(rig: Rig): RunnerInfo {
  const [info, ...more] = listInfoFiles(rig.world.home);
  if (info === undefined || more.length > 0) throw new Error(`${more.length} more runners than one`);
  return info;
}

/**
 * Until then Claude Code (2.1.330) offers none of our tools to a prompt, and keeps to that for the whole session: the
 * endpoint has its stream, and its screen shows our status line, which it draws after it has started.
 */
export async function connected(rig: Rig, terminal: Terminal, client: ClientName): Promise<void> {
  const hasStream = async () => {
    const { endpoint } = (await ask(rig, controlPaths.status)) as { endpoint?: { streams: number } };
    return (endpoint?.streams ?? 0) > 0 ? true : undefined;
  };
  await until("its tools are connected", hasStream, waitMs);
  const shown = { claude: "relay: ada", codex: "gpt-5.1-codex" }[client];
  await until("it is drawn", () => terminal.screen().includes(shown) || undefined, waitMs);
}

/** Turns that the one runner has seen end. */
export async function turnsOf(rig: Rig): Promise<number> {
  const { figures } = (await ask(rig, controlPaths.session)) as { figures?: { turns: number } };
  return figures?.turns ?? 0;
}

/** What the runner's control server says; nothing while there is none. */
async function ask(rig: Rig, path: ControlPath): Promise<object> {
  const [info] = listInfoFiles(rig.world.home);
  if (info === undefined) return {};
  const { relayId, agentId } = info;
  const folder = join(rig.world.home, "runners", relayId, agentId);
  const answer = await askControl(folder, path, AbortSignal.timeout(5_000)).catch(() => undefined);
  return typeof answer === "object" && answer !== null ? answer : {};
}

/** The secret of the one agent's endpoint on this machine. */
export function endpointSecret(rig: Rig): string {
  const [path, ...more] = new Bun.Glob("runners/*/*/proxy.secret").scanSync({
    cwd: rig.world.home,
    absolute: true,
  });
  if (path === undefined || more.length > 0) throw new Error(`${more.length} more secrets than one`);
  return readFileSync(path, "utf8").trim();
}

/** The status with which the endpoint answers the beginning of a session; undefined while nobody answers. */
export async function askEndpoint(mcpUrl: string, secret: string): Promise<number | undefined> {
  const clientInfo = { name: "look", version: "1" };
  const params = { protocolVersion: "2025-06-18", capabilities: {}, clientInfo };
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params });
  const headers = {
    authorization: `Bearer ${secret}`,
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
  };
  try {
    const response = await fetch(mcpUrl, { method: "POST", headers, body });
    await response.text();
    return response.status;
  } catch {
    return undefined;
  }
}
