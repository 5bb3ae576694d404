/**
 * What a drill is played on: a real relay, something between that can hold or refuse, a real runner with its proxy,
 * and official SDK clients at it. Everything is taken down again in the opposite order.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog } from "../../src/base/log.ts";
import { realRandom } from "../../src/base/random.ts";
import { agentFolder, loadCredential } from "../../src/runner/credential.ts";
import { loadEndpointFile } from "../../src/runner/endpoint-file.ts";
import { type Runner, startRunner } from "../../src/runner.ts";
import { localStatus } from "../../src/runner-parts.ts";
import { databaseOf } from "../../src/server.ts";
import { type AgentId, asId } from "../../src/wire/id.ts";
import { type RunningRelay, runningRelay } from "../fixtures/running-relay.ts";
import { connectWitness, type Era, type Target, type Witness } from "../fixtures/sdk-client.ts";

export const eras: readonly Era[] = ["legacy", "modern"];

/** A hop before the relay: it passes everything on, but what it was told to hold or refuse. */
export type Between = {
  readonly url: string;
  /** Nothing gets through: connections are refused. */
  cut(): Promise<void>;
  restore(): void;
  /** From now on another relay is behind it. */
  to(upstream: string): void;
  /** Requests whose body has this text are held, before the relay has seen them or after it has answered. */
  hold(text: string, when: "before" | "after"): { readonly held: number; release(): void };
  close(): Promise<void>;
};

/** Opens the hop. */
export function openBetween(first: string): Between {
  let upstream = first;
  let holding: { text: string; when: string; held: number; gate: Promise<void> } | undefined;
  const options = (port: number) => ({
    hostname: "127.0.0.1",
    port,
    idleTimeout: 0,
    // The relay behind has gone away.
    error: () => new Response("gone", { status: 502 }),
    async fetch(request: Request) {
      const { pathname, search } = new URL(request.url);
      const body = request.method === "GET" ? undefined : await request.text();
      const hold = holding !== undefined && body?.includes(holding.text) ? holding : undefined;
      if (hold !== undefined) hold.held += 1;
      if (hold?.when === "before") await hold.gate;
      const headers = new Headers(request.headers);
      headers.set("host", new URL(upstream).host);
      headers.delete("accept-encoding");
      const init = { method: request.method, headers, signal: request.signal };
      const answer = await fetch(
        `${upstream}${pathname}${search}`,
        body === undefined ? init : { ...init, body },
      );
      if (hold?.when === "after") await hold.gate;
      return new Response(answer.body, { status: answer.status, headers: answer.headers });
    },
  });
  let server = Bun.serve(options(0));
  const port = server.port ?? 0;
  return {
    url: `http://127.0.0.1:${port}`,
    cut: () => server.stop(true),
    restore() {
      server = Bun.serve(options(port));
    },
    to(other) {
      upstream = other;
    },
    hold(text: string, when: "before" | "after") {
      const { promise, resolve } = Promise.withResolvers<void>();
      const own = { text, when, held: 0, gate: promise };
      holding = own;
      return {
        get held() {
          return own.held;
        },
        release() {
          holding = undefined;
          resolve();
        },
      };
    },
    close: () => server.stop(true),
  };
}

/** A runner in this process, and what its files say. */
export type Staged = {
  readonly runner: Runner;
  readonly home: string;
  /** What it told the person. */
  readonly said: string[];
  /** Where its agent's clients connect. */
  readonly target: Target;
  /** The secrets it holds now. */
  secrets(): { runner: string; agent: string };
  /** Writes that wait in its outbox. */
  waiting(): Promise<number>;
  /** Ends the agent and its runner. */
  close(): Promise<void>;
};

export class DrillStage implements AsyncDisposable {
  relay: RunningRelay;
  readonly folder: string;
  readonly #closers: (() => unknown)[] = [];

  private constructor(folder: string, relay: RunningRelay) {
    this.folder = folder;
    this.relay = relay;
  }

  static async open(): Promise<DrillStage> {
    const folder = mkdtempSync(join(tmpdir(), "agent-relay-drill-"));
    return new DrillStage(folder, await runningRelay({ home: join(folder, "relay") }));
  }

  /** Stops the relay, does something to its files, and starts it again; at another address. */
  async restart(between: (database: string) => void = () => {}): Promise<void> {
    const { home } = this.relay;
    await this.relay[Symbol.asyncDispose]();
    between(databaseOf(home));
    this.relay = await runningRelay({ home });
  }

  between(): Between {
    const between = openBetween(this.relay.server.url);
    this.#closers.push(() => between.close());
    return between;
  }

  /** Starts alice's runner; the machine is also the name of its home. */
  async runner(machine: string, more: { relayUrl?: string; takeover?: boolean } = {}): Promise<Staged> {
    const home = join(this.folder, machine);
    const said: string[] = [];
    const runner = await startRunner({
      home,
      relayUrl: more.relayUrl ?? this.relay.server.url,
      agentName: "alice",
      machine,
      version: "0.0.0",
      provider: "exec",
      args: ["sleep", "600"],
      cwd: this.folder,
      environment: { PATH: process.env.PATH ?? "" },
      terminal: false,
      direct: false,
      takeover: more.takeover === true,
      enrolmentToken: () => this.relay.operatorToken,
      log: silentLog,
      say: (line) => said.push(line),
    });
    let closing: Promise<void> | undefined;
    const close = async () => {
      runner.stop();
      await runner.ended;
      await runner.close();
    };
    const once = () => {
      closing ??= close();
      return closing;
    };
    this.#closers.push(once);
    const { relayId } = this.relay.server;
    const folder = agentFolder(home, relayId, asId<AgentId>(runner.agentId));
    const { secret } = loadEndpointFile(folder, "proxy", realRandom);
    return {
      runner,
      home,
      said,
      target: { url: runner.mcpUrl, secret },
      secrets() {
        const held = loadCredential(home, relayId, "alice");
        return { runner: held?.secret ?? "", agent: held?.agentToken?.secret ?? "" };
      },
      close: once,
      waiting: async () => (await localStatus(home)).reduce((sum, { waiting = 0 }) => sum + waiting, 0),
    };
  }

  async client(target: Target, era: Era): Promise<Witness> {
    const witness = await connectWitness(target, era);
    this.#closers.push(() => witness.client.close());
    return witness;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
    await this.relay[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** How long it took since then until it held, ms; fails with `what` after `forMs`. */
export async function took(
  what: string,
  holds: () => boolean | Promise<boolean>,
  { since = performance.now(), forMs = 5_000 }: { since?: number; forMs?: number } = {},
): Promise<number> {
  while (!(await holds())) {
    if (performance.now() - since > forMs) throw new Error(`Waited ${forMs} ms in vain until ${what}`);
    await Bun.sleep(5);
  }
  const ms = Math.round(performance.now() - since);
  console.log(`drill: ${what}: ${ms} ms`);
  return ms;
}
