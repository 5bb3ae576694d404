/**
 * One relay, one person's machine with both clients on PATH, their scripted models, and agents that `agent-relay run`
 * starts there. What happened is read where it cannot be made up: in the relay's database and in what the models were sent.
 */
import { Database } from "bun:sqlite";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { openWorld, program, type Serving, until, type World } from "../e2e/kit.ts";
import { startMessagesEndpoint } from "./messages-endpoint.ts";
import type { ModelEndpoint, ModelRequest } from "./model-log.ts";
import { makePerson, type Person } from "./person.ts";
import { startResponsesEndpoint } from "./responses-endpoint.ts";
import { codeAtPrompt, openTerminal, shellCommand, shellPrompt, type Terminal } from "./terminal.ts";

export const clientNames = ["claude", "codex"] as const;
export type ClientName = (typeof clientNames)[number];

/** One message in one inbox, with the time of each step, ms since 1970. */
export type Delivered = {
  id: string;
  sender: string;
  recipient: string;
  body: string;
  reply_to: string | null;
  created_at: number;
  handed_at: number | null;
  injected_at: number | null;
  read_at: number | null;
  replied_at: number | null;
};

export type Rig = {
  world: World;
  person: Person;
  relayUrl: string;
  models: Record<ClientName, ModelEndpoint>;
  /** `agent-relay run … --headless`; resolves when the agent waits for messages. */
  headless(agent: string, client: ClientName, options?: RunOptions): Promise<Serving>;
  /** `agent-relay run` at a terminal; resolves when the relay knows that the agent is idle, or at once with `wait: false`. */
  terminal(agent: string, client: ClientName, options?: TerminalOptions): Promise<Terminal>;
  /** A person's shell at a terminal, at its prompt: for `terminal` with `at`. */
  shell(name: string): Promise<Terminal>;
  /** The arguments of such a run. */
  command(agent: string, client: ClientName, options?: RunOptions): string[];
  /** `agent-relay send` as the operator. */
  send(to: string, text: string, ...more: string[]): Promise<void>;
  /** Everything in every inbox, oldest first. */
  delivered(): Delivered[];
  /** What an agent is doing, as the relay was told. */
  state(agent: string): Promise<string | undefined>;
  /** Requests to the models in which the words stand in a text. */
  seenBy(client: ClientName, words: string): ModelRequest[];
  killRelay(): Promise<void>;
  /** At the same address as before. */
  startRelay(): Promise<void>;
  close(): Promise<void>;
};

export type RunOptions = { task?: string; args?: string[]; more?: string[] };

/** `at`: typed in that shell, instead of a terminal of its own; `relay`: another way to the relay. */
export type TerminalOptions = RunOptions & { wait?: boolean; at?: Terminal; relay?: string };

/**
 * Opens a rig; the relay runs.
 * @param env also in the person's environment
 */
export async function openRig({ env = {} }: { env?: Record<string, string> } = {}): Promise<Rig> {
  const { folder, models, person } = openMachine();
  Object.assign(person.env, env);
  const terminals: Terminal[] = [];
  const world = openWorld();
  let relay = await world.up();
  const relayUrl = relay.url;
  const tokenFile = join(world.home, "operator.token");
  const place = ["--relay", relayUrl, "--token-file", tokenFile, "HOME"];
  const command = (agent: string, client: ClientName, { task, args = [], more = [] }: RunOptions = {}) => [
    ...["run", client, "--name", agent, "--headless", ...place, "--json", "--log-level", "debug", ...more],
    ...(task === undefined ? [] : ["--task", task]),
    ...(args.length === 0 ? [] : ["--", ...args]),
  ];
  const state = async (agent: string) => {
    const { stdout } = await world.cli(["agents", "--json", ...place]);
    return stateIn(stdout, agent);
  };
  const open = (name: string, line: readonly string[], of: Record<string, string>) => {
    const terminal = openTerminal({ folder, name, cwd: person.work, env: of, command: line });
    terminals.push(terminal);
    return terminal;
  };
  const idle = (agent: string, otherwise: () => string) => untilIdle(agent, () => state(agent), otherwise);
  return {
    ...{ world, person, relayUrl, models, command, state },
    async headless(agent, client, options) {
      const run = world.start(command(agent, client, options), { env: person.env, cwd: person.work });
      await run.ready();
      await idle(agent, () => `it said ${run.stderr().slice(-3_000)}`);
      return run;
    },
    async terminal(agent, client, { args = [], wait = true, at, relay: way = relayUrl } = {}) {
      const own = ["run", client, "--name", agent, "--relay", way, "--token-file", tokenFile];
      const rest = ["--home", world.home, ...(args.length === 0 ? [] : ["--", ...args])];
      const line = [program, ...own, ...rest];
      const terminal = at ?? open(agent, line, person.env);
      if (at !== undefined) await at.type(line.join(" "));
      if (wait) await idle(agent, () => `its screen is ${terminal.screen()}`);
      return terminal;
    },
    async shell(name) {
      const shell = open(name, shellCommand, { ...person.env, PS1: shellPrompt });
      await until("the shell has its prompt", () => codeAtPrompt(shell), 10_000);
      return shell;
    },
    async send(to, text, ...more) {
      const { code, stderr } = await world.cli(["send", to, text, ...more, ...place]);
      if (code !== 0) throw new Error(`Send to ${to}: ${stderr}`);
    },
    delivered: () => deliveredIn(world.home, folder),
    seenBy: (client, words) => models[client].requests.filter(shows(words)),
    async killRelay() {
      relay.signal("SIGKILL");
      await relay.ended;
    },
    async startRelay() {
      relay = await world.up("--port", new URL(relayUrl).port);
    },
    async close() {
      for (const terminal of terminals) terminal.close();
      await world.close();
      await Promise.all(Object.values(models).map((model) => model.close()));
      if (process.env.CLIENTS_KEEP === undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The person's machine with the models that its clients speak to. */
function openMachine() {
  const folder = mkdtempSync(join(process.env.CLIENTS_FOLDER ?? "", "rig-"));
  const logs = join(folder, "model");
  mkdirSync(logs);
  const models = {
    claude: startMessagesEndpoint(join(logs, "messages.jsonl")),
    codex: startResponsesEndpoint(join(logs, "responses.jsonl")),
  };
  const person = makePerson(folder, {
    clients: { claude: process.env.CLIENTS_CLAUDE ?? "", codex: process.env.CLIENTS_CODEX ?? "" },
    models: { messages: models.claude.url, responses: models.codex.url },
  });
  return { folder, models, person };
}

/** True for a request to a model that shows these words in a text. */
function shows(words: string): (request: ModelRequest) => boolean {
  return ({ items }) => items.some((item) => item.kind === "text" && item.text.includes(words));
}

async function untilIdle(
  agent: string,
  state: () => Promise<string | undefined>,
  otherwise: () => string,
): Promise<void> {
  const isIdle = async () => ((await state()) === "idle" ? true : undefined);
  await until(`${agent} is idle`, isIdle, 40_000).catch((error: unknown) => {
    throw new Error(`${error}: ${otherwise()}`);
  });
}

function stateIn(json: string, agent: string): string | undefined {
  const found = JSON.parse(json) as { agents: { name: string; presence?: { state: string } }[] };
  return found.agents.find(({ name }) => name === agent)?.presence?.state;
}

/** The relay has its database for itself, so a copy is read; one that was torn by a write is made anew. */
function deliveredIn(home: string, folder: string): Delivered[] {
  const [path, copy] = [join(home, "relay", "relay.sqlite"), join(folder, "copy.sqlite")];
  for (let attempt = 0; ; attempt += 1) {
    try {
      for (const end of ["", "-wal"]) {
        rmSync(`${copy}${end}`, { force: true });
        if (existsSync(`${path}${end}`)) copyFileSync(`${path}${end}`, `${copy}${end}`);
      }
      const database = new Database(copy);
      try {
        return database.query<Delivered, []>(query).all();
      } finally {
        database.close();
      }
    } catch (error) {
      if (attempt === 5) throw error;
    }
  }
}

const query = `
  SELECT m.id, s.name AS sender, a.name AS recipient, m.body, m.reply_to, m.created_at,
    i.handed_at, i.injected_at, i.read_at, i.replied_at
  FROM inbox i JOIN messages m ON m.id = i.message_id JOIN agents a ON a.id = i.agent_id
    JOIN agents s ON s.id = m.sender_id
  ORDER BY m.number`;
