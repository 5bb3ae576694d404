/** The relay of the bench as a process of its own, and the agents that load it, each with a runner. */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { z } from "zod";
import { firstLine, launch, type Program, until } from "../../examples/demo/programs.ts";
import { waitingClock } from "../../src/base/clock.ts";
import { realRandom } from "../../src/base/random.ts";
import { createClient } from "../../src/sdk/client.ts";
import { tokenHash, tokenText } from "../../src/wire/token.ts";

const root = resolve(import.meta.dir, "../..");
const readySchema = z.object({ url: z.string(), mcpUrl: z.string(), operatorTokenFile: z.string() });
/** Agents that one token enrols: requests of a token are limited, so many tokens enrol many agents. */
const agentsPerHost = 100;
/** The brakes that stop a runaway agent would stop the load. */
const busy = { burst: 1_000_000, perMinute: 1_000_000, fanOutMax: 500, hopsMax: 8 };

/** An agent of the bench. `agentToken` is undefined when it was not asked for. */
export const agentSchema = z.object({
  name: z.string(),
  runnerToken: z.string(),
  agentToken: z.string().optional(),
});
export type BenchAgent = z.infer<typeof agentSchema>;

export type BenchRelay = { url: string; mcpUrl: string; operatorToken: string; program: Program };

/** Starts `agent-relay up` with a home in the folder. */
export async function startRelay(folder: string): Promise<BenchRelay> {
  const home = join(folder, "home");
  const command = [join(root, "bin", "agent-relay"), "up", "--port", "0", "--home", home, "--json"];
  const program = launch({ name: "relay", command, folder, environment: process.env });
  const signal = new AbortController().signal;
  const wait = { what: "the relay to be ready", forMs: 15_000, clock: waitingClock, signal };
  const ready = readySchema.parse(JSON.parse(await until(wait, () => firstLine(program, 0))));
  const operatorToken = readFileSync(ready.operatorTokenFile, "utf8").trim();
  return { url: ready.url, mcpUrl: ready.mcpUrl, operatorToken, program };
}

/**
 * Enrols agents, many at a time.
 * @param options.speak each agent gets a runtime token too
 */
export async function enrolAgents(
  relay: BenchRelay,
  options: { prefix: string; count: number; speak: boolean },
): Promise<BenchAgent[]> {
  const { prefix, count, speak } = options;
  const operator = createClient({ url: relay.url, token: () => relay.operatorToken });
  await operator.setProfile({ name: "busy", limits: busy });
  const hosts = await Promise.all(
    Array.from({ length: Math.ceil(count / agentsPerHost) }, async () => {
      const token = tokenText("host", realRandom.bytes(32));
      await operator.createToken({ kind: "host", secretHash: tokenHash(token), note: "bench" });
      return createClient({ url: relay.url, token: () => token });
    }),
  );
  const enrol = async (index: number): Promise<BenchAgent> => {
    const host = hosts[Math.floor(index / agentsPerHost)];
    if (host === undefined) throw new Error(`Enrol agent ${index}: no host token is left for it`);
    const name = `${prefix}-${index}`;
    const runnerToken = tokenText("runner", realRandom.bytes(32));
    await host.enrolRunner({
      ...{ agentName: name, provider: "exec", machine: "bench", profile: "busy" },
      secretHash: tokenHash(runnerToken),
    });
    if (!speak) return { name, runnerToken };
    const agentToken = tokenText("agent", realRandom.bytes(32));
    const runner = createClient({ url: relay.url, token: () => runnerToken });
    await runner.mintAgentToken({ secretHash: tokenHash(agentToken) });
    return { name, runnerToken, agentToken };
  };
  const agents: BenchAgent[] = [];
  // One agent of every host at a time, so that no token comes near its limit.
  for (let offset = 0; offset < agentsPerHost; offset += 1) {
    const indexes = hosts.map((_, host) => host * agentsPerHost + offset).filter((index) => index < count);
    agents.push(...(await Promise.all(indexes.map(enrol))));
  }
  return agents;
}
