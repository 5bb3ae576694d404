/**
 * The end of a world: the trouble ends, each store in turn gets its agent to itself until nothing waits in it and
 * all notices were seen, and each agent reads its inbox to the end.
 */
import type { Agent } from "./agent.ts";
import { pass, passUntil } from "./clock.ts";
import { calmNetwork } from "./network.ts";
import type { Parts } from "./parts.ts";
import type { Runner } from "./runner.ts";
import { goodDisk } from "./weather.ts";

/** A settled world has nothing left to do by then, ms. */
const settleMs = 180_000;
/** Nothing is on its way for longer, ms. */
const latestMs = 25_000;

/**
 * Ends the trouble and waits for everything that was promised; what does not come is `stuck`.
 * @param newToken makes the runner of this agent the only one
 */
export async function settle(
  parts: Parts,
  agents: readonly Agent[],
  newToken: (agent: string) => string,
): Promise<void> {
  const { relay, network, disk, ledger, clock } = parts;
  ledger.trace(clock.monotonic(), "settle");
  network.faults = calmNetwork;
  network.cut.clear();
  network.ambushes.clear();
  relay.failing = 0;
  Object.assign(disk, goodDisk);
  relay.start();
  for (const { runner } of agents) runner.start();
  if (!(await passUntil(clock, settleMs, () => agents.every(({ busy }) => busy === 0))))
    ledger.broke("stuck", "calls are not over");
  for (const { runner } of agents) fencedByNobody(parts, runner);
  for (const { runner } of agents) runner.kill();
  // What is still on its way arrives before anything is opened for the last time.
  await pass(clock, latestMs);
  for (const agent of agents) {
    agent.runner.token = newToken(agent.runner.agent);
    await drain(parts, agent);
  }
  const byName = new Map(agents.map((agent) => [agent.runner.agent, agent]));
  for (const [name, agent] of byName) {
    agent.runner.token = newToken(name);
    await readAll(parts, agent);
  }
}

/** Only another owner of the same store may end its deliveries for good. */
function fencedByNobody({ ledger }: Parts, { name, outbox, copies }: Runner): void {
  const { state, lastError } = outbox?.status() ?? {};
  if (state === "paused" && copies === 0 && lastError?.includes("fenced") === true)
    ledger.broke("stuck", `${name} is fenced for good, and its store has no other owner: ${lastError}`);
}

async function drain({ clock, ledger }: Parts, agent: Agent): Promise<void> {
  const { runner } = agent;
  const { name } = runner;
  runner.start();
  if (!(await passUntil(clock, settleMs, () => runner.outbox?.status().depth === 0))) {
    const { depth, state } = runner.outbox?.status() ?? {};
    ledger.broke("stuck", `${name} still has ${depth} records: ${state}`);
  }
  await pass(clock, 100);
  for (let turn = 0; turn < 100; turn += 1) {
    agent.poll();
    await pass(clock, 30);
    if (runner.outbox?.notices().length === 0) break;
  }
  if (runner.outbox?.notices().length !== 0) ledger.broke("stuck", `${name} keeps notices`);
  // Opened once more, it has nothing left to tell.
  runner.kill();
  await pass(clock, 100);
  runner.start();
  await passUntil(clock, 1_000, () => runner.outbox !== undefined);
  const left = runner.outbox?.notices().length;
  if (left !== 0) ledger.broke("stuck", `${name} has ${left} notices again after they were seen`);
  runner.kill();
  await pass(clock, 100);
}

async function readAll({ clock }: Parts, agent: Agent): Promise<void> {
  agent.runner.start();
  for (let turn = 0; turn < 100; turn += 1) {
    let isEmpty = false;
    let isOver = false;
    void agent.read(50).then((empty) => {
      isEmpty = empty;
      isOver = true;
    });
    await passUntil(clock, 10_000, () => isOver);
    if (isEmpty) return;
  }
}
