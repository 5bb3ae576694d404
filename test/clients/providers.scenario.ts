/**
 * Both real clients behind the contract of a session, without a relay: what is given to them stands in the model's
 * request where it should, once, also after a crash.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { LaunchPlan, LaunchRequest } from "../../src/agent/launch.ts";
import { playedRequest } from "../../src/agent/played-request.ts";
import { providers } from "../../src/agent/providers.ts";
import type { SavedConversation, Session } from "../../src/agent/session.ts";
import type { SessionEvent } from "../../src/agent/session-event.ts";
import { realClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { type ChildProcess, findProgram, spawnChild } from "../../src/base/process.ts";
import { realRandom } from "../../src/base/random.ts";
import { limits } from "../../src/limits.ts";
import { until } from "../e2e/kit.ts";
import { startMessagesEndpoint } from "./messages-endpoint.ts";
import { followsResult, type ModelRequest } from "./model-log.ts";
import { watchNetwork } from "./network.ts";
import { makePerson, type Person } from "./person.ts";
import { startResponsesEndpoint } from "./responses-endpoint.ts";

const network = await watchNetwork();
const turnMs = 20_000;
const sleepOrder = {
  claude: 'DO Bash {"command":"sleep 2; echo slept","description":"sleep"}',
  codex: 'DO exec_command {"cmd":"sleep 2; echo slept"}',
} as const;

type Name = keyof typeof sleepOrder;
const uuid = () => crypto.randomUUID();

function requestFor(person: Person): Omit<LaunchRequest, "conversation"> {
  return {
    ...playedRequest,
    features: { mcp: false, skills: false, statusLine: false, hooks: false },
    ...{ cwd: person.work, environment: person.env, find: findProgram },
  };
}

/** Starts the program; its lines go to the session of the moment. */
function spawnFor(
  plan: Extract<LaunchPlan, { status: "ready" }>,
  cwd: string,
  session: () => Session,
): ChildProcess {
  return spawnChild({
    command: plan.command,
    env: plan.env,
    cwd,
    stdio: {
      stdout: (line) => session().output(line, "stdout"),
      stderr: (line) => session().output(line, "stderr"),
      stdin: "pipe",
    },
    processGroup: true,
  });
}

function open(provider: Name) {
  const folder = mkdtempSync(join(process.env.CLIENTS_FOLDER ?? "", `${provider}-`));
  const models = { claude: startMessagesEndpoint(), codex: startResponsesEndpoint() };
  const person = makePerson(folder, {
    clients: { claude: process.env.CLIENTS_CLAUDE ?? "", codex: process.env.CLIENTS_CODEX ?? "" },
    models: { messages: models.claude.url, responses: models.codex.url },
  });
  const scratch = join(folder, "scratch");
  mkdirSync(scratch);
  const events: SessionEvent[] = [];
  let saved: SavedConversation | undefined;
  let child: ChildProcess | undefined;
  const request = requestFor(person);
  const newSession = () =>
    providers[provider].openSession({
      mode: "headless",
      request: (conversation) => ({ ...request, conversation }),
      saved,
      ownEndpoint: true,
      scratch,
      onEvent(event) {
        events.push(event);
        if (event.type === "conversation") saved = { id: event.id, transcript: event.transcript };
      },
      clock: realClock,
      random: realRandom,
      log: silentLog,
      limits,
    });
  let session: Session = newSession();
  const start = async () => {
    const plan = await session.prepare();
    if (plan.status === "refused") throw new Error(plan.reason);
    const started = spawnFor(plan, person.work, () => session);
    child = started;
    session.started(started);
    void started.exited.then(() => session.exited());
    await until("the session is idle", () => session.status.state === "idle" || undefined, turnMs);
  };
  return {
    events,
    model: models[provider],
    start,
    get session() {
      return session;
    },
    idle: () => until("the turn is over", () => session.status.state === "idle" || undefined, turnMs),
    busy: () => until("a tool runs", () => session.status.toolsRunning > 0 || undefined, turnMs),
    async kill() {
      child?.signalGroup("SIGKILL");
      await child?.exited;
      await Bun.sleep(50);
    },
    /** As after the end of the runner: another session, with what was kept of the first. */
    renew() {
      session = newSession();
    },
    async close() {
      await session.close();
      child?.signalGroup("SIGKILL");
      await child?.exited;
      child?.release();
      await models.claude.close();
      await models.codex.close();
      if (process.env.CLIENTS_KEEP === undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** How often a text stands in the conversation that the model saw last. */
function timesIn(requests: readonly ModelRequest[], words: string): number {
  const items = requests.at(-1)?.items ?? [];
  return items.filter((item) => item.kind === "text" && item.text.includes(words)).length;
}

describe.each(["claude", "codex"] as const)("%s, headless", (provider) => {
  let at: ReturnType<typeof open>;
  beforeEach(() => {
    at = open(provider);
  });
  afterEach(() => at.close());

  test("P8: idle: a text begins a turn, which names it when it ends", async () => {
    await at.start();
    const id = uuid();
    expect(await at.session.inject({ id, text: `words-${id}` }, { urgent: false })).toEqual({
      status: "injected",
    });
    await until("the turn ended", () => at.session.status.lastTurn, turnMs);
    expect(at.session.status.lastTurn).toMatchObject({ how: "completed", text: "done after 0 results" });
    expect(at.session.status.lastTurn?.injections).toEqual([id]);
    expect(timesIn(at.model.requests, `words-${id}`)).toBe(1);
  });

  test("P8: busy and urgent: it stands right after the result of the running tool", async () => {
    await at.start();
    await at.session.inject({ id: uuid(), text: sleepOrder[provider] }, { urgent: false });
    await at.busy();
    const id = uuid();
    expect(await at.session.inject({ id, text: `words-${id}` }, { urgent: true })).toEqual({
      status: "injected",
    });
    await at.idle();
    expect(followsResult(at.model.requests.at(-1)?.items ?? [], "slept", `words-${id}`)).toBe(true);
    expect(at.model.requests).toHaveLength(2);
  });

  test("busy and not urgent: a turn of its own", async () => {
    await at.start();
    await at.session.inject({ id: uuid(), text: sleepOrder[provider] }, { urgent: false });
    await at.busy();
    const id = uuid();
    await at.session.inject({ id, text: `words-${id}` }, { urgent: false });
    await until("both turns", () => (at.session.status.figures.turns === 2 ? true : undefined), turnMs);
    expect(at.session.status.lastTurn?.injections).toEqual([id]);
    expect(at.model.requests).toHaveLength(3);
  });

  test("P2: killed after a turn, resumed by another runner: what it holds is not given again", async () => {
    await at.start();
    const id = uuid();
    await at.session.inject({ id, text: `words-${id}` }, { urgent: false });
    await at.idle();
    await at.kill();
    at.renew();
    await at.start();
    expect(await at.session.lookFor([id])).toEqual(new Map([[id, "done"]]));
    const next = uuid();
    await at.session.inject({ id: next, text: `words-${next}` }, { urgent: false });
    await until("the turn ended", () => at.session.status.lastTurn, turnMs);
    expect(timesIn(at.model.requests, `words-${id}`)).toBe(1);
    expect(timesIn(at.model.requests, `words-${next}`)).toBe(1);
  });

  test("a turn that hangs on its tool is interrupted, and the session goes on", async () => {
    await at.start();
    await at.session.inject({ id: uuid(), text: sleepOrder[provider] }, { urgent: false });
    await at.busy();
    expect(await at.session.interrupt()).toBe(true);
    await until("the turn ended", () => at.session.status.lastTurn, turnMs);
    expect(at.session.status.lastTurn?.how).toBe("interrupted");
    const id = uuid();
    expect(await at.session.inject({ id, text: "and now" }, { urgent: false })).toEqual({
      status: "injected",
    });
    await until("another turn", () => at.session.status.figures.turns === 2 || undefined, turnMs);
  });
});

test("no host but loopback was tried", () => {
  expect(network.tried()).toEqual([]);
});
