/**
 * What a failure scenario is played on: a scripted upstream, a gate before it, `agent-relay proxy` as a process of its
 * own, and official SDK clients. Everything is taken down again in the opposite order.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { z } from "zod";
import { firstLine, launch, type Program, stopAll, until } from "../../../examples/demo/programs.ts";
import { waitingClock } from "../../../src/base/clock.ts";
import { controlPaths } from "../../../src/runner/control.ts";
import { askControl, localPlaces } from "../../../src/runner/local.ts";
import { connectWitness, type Era, type Target, type Witness } from "../../fixtures/sdk-client.ts";
import { testEndpoint } from "../../fixtures/upstreams/endpoint.ts";
import { type Gate, openGate } from "../../fixtures/upstreams/gate.ts";
import { type ScriptedUpstream, scriptedUpstream } from "../../fixtures/upstreams/scripted.ts";

const root = resolve(import.meta.dir, "../../..");
const readySchema = z.object({ url: z.string(), secretFile: z.string() });
export const eras: readonly Era[] = ["legacy", "modern"];

export type ProxyProcess = Target & {
  readonly secret: string;
  readonly pid: number;
  readonly home: string;
  readonly program: Program;
  log(): string;
  /** What it says of itself to the people's programs of this machine. */
  status(): Promise<ProxyStatus>;
  /** SIGKILL. */
  kill(): Promise<void>;
};

const statusSchema = z.object({
  outbox: z.object({ depth: z.number() }).optional(),
  endpoint: z.object({ streams: z.number(), sessions: z.number() }),
});
export type ProxyStatus = z.infer<typeof statusSchema>;

export type ProxyOptions = {
  /** The same home again is the same proxy started again. */
  home?: string;
  /** Content of a policy file. */
  policy?: unknown;
  tokenFile?: string;
  logLevel?: string;
};

export type UpstreamSettings = Partial<
  Pick<ScriptedUpstream, "tools" | "token" | "modern" | "legacy" | "sessions" | "sse">
>;

export class Stage implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), "agent-relay-scenario-"));
  readonly #closers: (() => unknown)[] = [];
  #names = 0;

  /** Closes this too at the end. */
  own(close: () => unknown): void {
    this.#closers.push(close);
  }

  upstream(settings: UpstreamSettings = {}): ScriptedUpstream {
    const upstream = scriptedUpstream();
    this.own(() => upstream.stop());
    return Object.assign(upstream, settings);
  }

  async gate(upstream: ScriptedUpstream): Promise<Gate> {
    const gate = await openGate(upstream.origin);
    this.own(() => gate.shut());
    return gate;
  }

  /** The file with the upstream's token, rewritten like a rotation would. */
  tokenFile(token: string): string {
    const file = join(this.folder, "upstream.token");
    writeFileSync(file, `${token}\n`, { mode: 0o600 });
    return file;
  }

  /** Starts `agent-relay proxy` and waits for its ready line. */
  async proxy(origin: string, options: ProxyOptions = {}): Promise<ProxyProcess> {
    this.#names += 1;
    const home = options.home ?? join(this.folder, `home-${this.#names}`);
    const name = `proxy-${this.#names}`;
    const command = [join(root, "bin/agent-relay"), "proxy", "--upstream", `${origin}/mcp`];
    command.push("--home", home, "--json");
    if (options.tokenFile !== undefined) command.push("--token-file", options.tokenFile);
    if (options.logLevel !== undefined) command.push("--log-level", options.logLevel);
    if (options.policy !== undefined) {
      const file = join(this.folder, `${name}-policy.json`);
      writeFileSync(file, JSON.stringify(options.policy));
      command.push("--policy", file);
    }
    const program = launch({ name, command, folder: this.folder, environment: process.env });
    this.own(() => stopAll([program], 2_000, waitingClock));
    const wait = { what: `${name} to be ready`, forMs: 10_000, clock: waitingClock };
    const line = await until({ ...wait, signal: new AbortController().signal }, () => firstLine(program, 0));
    const { url, secretFile } = readySchema.parse(JSON.parse(line));
    return {
      url,
      secret: readFileSync(secretFile, "utf8").trim(),
      pid: program.pid,
      home,
      program,
      log: () => (existsSync(program.logFile) ? readFileSync(program.logFile, "utf8") : ""),
      async status() {
        const [place] = localPlaces(home);
        const signal = AbortSignal.timeout(5_000);
        return statusSchema.parse(await askControl(place?.folder ?? "", controlPaths.status, signal));
      },
      async kill() {
        program.signal("SIGKILL");
        await program.ended;
      },
    };
  }

  /** The endpoint in this process, for what only an argument can change: limits, clock, context, authorization. */
  async endpoint(origin: string, more: Parameters<typeof testEndpoint>[1] = {}) {
    const endpoint = await testEndpoint({ origin, path: "/mcp" }, more);
    this.own(() => endpoint.close());
    return endpoint;
  }

  async client(target: Target, era: Era): Promise<Witness> {
    const witness = await connectWitness(target, era);
    this.own(() => witness.client.close());
    return witness;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Waits until it holds; fails with `what` after `forMs`. */
export async function eventually(
  what: string,
  holds: () => boolean | Promise<boolean>,
  forMs = 5_000,
): Promise<void> {
  const end = performance.now() + forMs;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`Waited ${forMs} ms in vain until ${what}`);
    await Bun.sleep(10);
  }
}

/** What no client may ever notice: an HTTP error, a stream that ended, an error of its transport. */
export function noticed({ statuses, errors, streams }: Witness) {
  return {
    badStatuses: statuses.filter((status) => status === 0 || status >= 400),
    errors,
    streamsEnded: streams.ended,
  };
}

export const nothingNoticed = { badStatuses: [], errors: [], streamsEnded: 0 };

/** Resident memory of a process, KiB. */
export function residentKib(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(match?.[1] ?? "0");
}
