/**
 * An agent that cannot be started as it was asked for, or only with a word about it: the program, the profile, the relay
 * and the terminal. Each sentence says what was to be done, what is, what was wanted, and what to do.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { codeAtPrompt, openTerminal, shellCommand, shellPrompt } from "../clients/terminal.ts";
import { needs } from "../needs.ts";
import { openWorld, program, root, type Serving, until, type World } from "./kit.ts";

let world: World;
let relay: Serving & { url: string };
const folder = (name: string) => join(world.folder, name);
const token = () => join(world.home, "operator.token");

/** A run with a home of its own; the agents' programs are those in one folder, beside what our launcher needs. */
const runIn = (home: string, ...args: string[]) => [
  ...["run", ...args, "--relay", relay.url, "--token-file", token(), "--home", folder(home)],
];
const only = (programs: string) => ({ env: { PATH: `${folder(programs)}:${folder("tools")}` } });

/** Programs that say a version and do this. */
function makePrograms(name: string, { versions, does }: { versions: [string, string]; does: string }): void {
  mkdirSync(folder(name));
  for (const [index, client] of ["claude", "codex"].entries()) {
    const text = `#!/bin/sh\nif [ "$1" = --version ]; then echo "${versions[index]}"; exit 0; fi\n${does}\n`;
    writeFileSync(join(folder(name), client), text, { mode: 0o755 });
  }
}

beforeAll(async () => {
  world = openWorld();
  relay = await world.up();
  mkdirSync(folder("tools"));
  for (const name of ["sh", "readlink", "dirname", "head", "wc", "uname", "sleep"])
    symlinkSync(Bun.which(name) ?? "", join(folder("tools"), name));
  makePrograms("old", { versions: ["2.1.100 (Claude Code)", "codex-cli 0.150.0"], does: "exit 0" });
  makePrograms("waiting", { versions: ["9.9.9 (Claude Code)", "codex-cli 9.9.9"], does: "exec sleep 100" });
  mkdirSync(folder("none"));
});
afterAll(() => world.close());

describe("C: [C.4] is refused in one line, with nothing written:", () => {
  const lacking = (client: string, name: string, at: string) =>
    `Run bob: Start ${client}: there is no such program on PATH (${folder("none")}:${folder("tools")}); ` +
    `install ${name} with 'npm install -g ${at}' and start it once to log in`;
  const rows: [string, string[], number, () => string][] = [
    [
      "Claude Code that is not installed",
      ["claude", "--name", "bob", "--headless"],
      127,
      () => lacking("claude", "Claude Code", "@anthropic-ai/claude-code"),
    ],
    [
      "Codex that is not installed",
      ["codex", "--name", "bob", "--headless"],
      127,
      () => lacking("codex", "Codex", "@openai/codex"),
    ],
    ...["claude", "codex"].map((client): [string, string[], number, () => string] => [
      `${client} without a terminal`,
      [client, "--name", "bob"],
      2,
      () => `Run ${client}: standard input is not a terminal; run it at one, or give --headless and --task`,
    ]),
    [
      "a profile that there is not",
      ["exec", "--name", "bob", "--profile", "nope", "--", "sh"],
      1,
      () => "Use profile 'nope': there is none of that name; 'agent-relay profile ls' lists them",
    ],
  ];
  test.each(rows)("%s", async (_, args, code, says) => {
    const [provider = "", ...rest] = args;
    const at = rest.indexOf("--");
    const [mine, theirs] = at === -1 ? [rest, []] : [rest.slice(0, at), rest.slice(at)];
    const ended = await world.cli([...runIn("fresh", provider, ...mine), ...theirs], only("none"));
    expect(ended).toEqual({ code, stdout: "", stderr: `agent-relay: ${says()}\n` });
    expect(existsSync(folder("fresh"))).toBe(false);
  });
});

test("C: another profile than the agent has is refused, until the agent has it", async () => {
  const run = (...more: string[]) =>
    world.cli([
      ...runIn("cal", "exec", "--name", "cal"),
      ...more,
      "--",
      "sh",
      "-c",
      "echo $AGENT_RELAY_TOKEN_PROFILE",
    ]);
  const operator = ["--relay", relay.url, "--token-file", token(), "HOME"];
  expect(await run()).toEqual({ code: 0, stdout: "default\n", stderr: "" });
  expect((await world.cli(["profile", "set", "reader", "--allow", "message:read", ...operator])).code).toBe(
    0,
  );
  expect(await run("--profile", "reader")).toEqual({
    code: 1,
    stdout: "",
    stderr:
      "agent-relay: Run cal with profile 'reader': the agent has profile 'default'; leave --profile out, " +
      "or change it with 'agent-relay agents profile cal reader'\n",
  });
  expect((await world.cli(["agents", "profile", "cal", "reader", ...operator])).code).toBe(0);
  expect(await run("--profile", "reader")).toEqual({ code: 0, stdout: "reader\n", stderr: "" });
}, 20_000);

describe("C: is said in one line, and the agent starts:", () => {
  const old: [string, string, string, string][] = [
    ["claude", "2.1.100", "2.1.224", "@anthropic-ai/claude-code"],
    ["codex", "0.150.0", "0.169.0", "@openai/codex"],
  ];
  test.each(old)("%s %s, which is too old", async (client, is, wanted, at) => {
    const args = runIn(`old-${client}`, client, "--name", `old-${client}`, "--headless");
    expect(await world.cli(args, only("old"))).toEqual({
      code: 0,
      stdout: "",
      stderr:
        `agent-relay: ${client} ${is} is older than ${wanted}, from which on messages reach a running session; ` +
        `update it with 'npm install -g ${at}@latest'\n`,
    });
  });

  test("a relay that does not answer", async () => {
    const other = world.start(["up", "--port", "0", "--json", "--home", folder("other")]);
    const { url, operatorTokenFile } = await other.ready();
    const args = [
      ...["run", "claude", "--name", "dot", "--headless", "--json", "--relay", url],
      ...["--token-file", operatorTokenFile, "--home", folder("dot")],
    ];
    const first = world.start(args, only("waiting"));
    await first.ready();
    await first.stop();
    await other.stop();
    const again = world.start(args, only("waiting"));
    await again.ready();
    const line = () => (again.stderr().includes("\n") ? again.stderr() : undefined);
    const said = await until("it says so", line, 20_000);
    expect(said).toBe(
      `agent-relay: the relay at ${url} is not reached now; dot runs all the same, and what it sends waits here\n`,
    );
  }, 40_000);

  const sizes: [string, { columns: number; rows: number }, string[]][] = [
    [
      "a terminal that is too small, in words that it holds",
      { columns: 20, rows: 5 },
      ["agent-relay: this", "terminal is 20 by 5;", "make it 40 by 10 or", "larger"],
    ],
    [
      "a terminal that is too low",
      { columns: 80, rows: 9 },
      ["agent-relay: this terminal is 80 by 9; make it 40 by 10 or larger"],
    ],
    ["nothing of one that is just large enough", { columns: 40, rows: 10 }, []],
  ];
  for (const [what, size, lines] of sizes)
    needs("tmux", "bash")(
      what,
      async () => {
        const name = `agent-${size.columns}`;
        const { PATH = "", HOME = "" } = process.env;
        const terminal = openTerminal({
          ...{ folder: world.folder, name, cwd: root, size },
          env: { PATH, HOME, TERM: "xterm-256color", LANG: "C.UTF-8", PS1: shellPrompt },
          command: shellCommand,
        });
        try {
          await until("the prompt", () => codeAtPrompt(terminal), 20_000);
          const script = folder(`${name}.sh`);
          const run = [program, ...runIn(name, "exec", "--name", name), "--", "true"];
          writeFileSync(script, `${run.map((word) => `'${word}'`).join(" ")}\n`);
          await terminal.type(`clear; sh ${script}; sh -c 'exit 9'`);
          await until("it is over", () => (codeAtPrompt(terminal) === 9 ? true : undefined), 30_000);
          expect(terminal.screen().trimEnd().split("\n").slice(0, -1)).toEqual(lines);
        } finally {
          terminal.close();
        }
      },
      60_000,
    );
});
