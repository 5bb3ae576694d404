/** Bad input as tables: what is typed, the exit code, and the line on standard error. No row may write anything. */
import { join } from "node:path";

export type Place = {
  folder: string;
  /** Home of the relay and of agent `alice`, who runs. */
  used: string;
  /** A folder for the row's home; nothing in it. */
  rows: string;
  relay: string;
  relayPort: string;
  web: string;
  token: string;
  file(name: string): string;
};

export type Row = {
  what: string;
  args: (at: Place, home: string) => string[];
  code: number;
  says: (at: Place) => string;
};

/** `agent-relay run exec` with everything right; later options win over earlier ones. */
export const run = (place: Place, home: string, ...more: string[]) => [
  ...["run", "exec", "--name", "bob", "--relay", place.relay, "--token-file", place.token, "--home", home],
  ...(more.includes("--") ? more : [...more, "--", "true"]),
];
export const proxy = (home: string, ...more: string[]) => [
  "proxy",
  "--upstream",
  "http://127.0.0.1:1/mcp",
  "--home",
  home,
  ...more,
];
export const agents = (place: Place, home: string, ...more: string[]) => [
  ...["agents", "--relay", place.relay, "--token-file", place.token, "--home", home, ...more],
];

export const usage: Row[] = [
  { what: "an unknown command", args: () => ["frob"], code: 2, says: () => "unknown command 'frob'" },
  {
    what: "an unknown option",
    args: (_, home) => ["up", "--home", home, "--prot", "1"],
    code: 2,
    says: () => "unknown option '--prot' (Did you mean --port?)",
  },
  {
    what: "an option without its value",
    args: (_, home) => ["up", "--home", home, "--port"],
    code: 2,
    says: () => "option '--port <n>' argument missing",
  },
  {
    what: "a port that is no number",
    args: (_, home) => ["up", "--home", home, "--port", "80a"],
    code: 2,
    says: () => "Read --port: '80a' is not a whole number from 0 to 65535",
  },
  {
    what: "a missing option",
    args: (_, home) => ["run", "exec", "--home", home],
    code: 2,
    says: () => "required option '--name <name>' not specified",
  },
  {
    what: "a bad agent name",
    args: (place, home) => run(place, home, "--name", "Bob Two"),
    code: 2,
    says: () =>
      "Read --name: 'Bob Two' is not 1 to 64 of a-z, 0-9, '.', '_' and '-', beginning and ending with a letter or digit",
  },
  {
    what: "a provider that there is not",
    args: (place, home) => ["run", "exce", ...run(place, home).slice(2)],
    code: 2,
    says: () => "Run 'exce': it is not a provider, one of claude, codex, exec was wanted",
  },
  {
    what: "exec without a command",
    args: (place, home) => run(place, home, "--"),
    code: 2,
    says: () => "Run exec: the command is missing, write it after --, such as: run exec --name a -- my-agent",
  },
  {
    what: "a program that is a text",
    args: (place, home) => run(place, home, "--", place.file("text")),
    code: 127,
    says: (place) => `Run bob: Start ${place.file("text")}: the file may not be executed`,
  },
  {
    what: "a program that is not there",
    args: (place, home) => run(place, home, "--", place.file("none")),
    code: 127,
    says: (place) => `Run bob: Start ${place.file("none")}: there is no such file`,
  },
  {
    what: "an address for everyone without TLS",
    args: (_, home) => ["up", "--home", home, "--host", "0.0.0.0", "--port", "0"],
    code: 1,
    says: () =>
      "Listen on 0.0.0.0: without TLS the relay listens on loopback only, 127.0.0.1 or ::1 or localhost was wanted; " +
      "give --tls-cert and --tls-key, or --insecure-bind when something else protects the connection",
  },
  {
    what: "a certificate without its key",
    args: (place, home) => ["up", "--home", home, "--port", "0", "--tls-cert", place.file("none")],
    code: 2,
    says: () => "Speak TLS: --tls-cert and --tls-key were wanted, one of them was given",
  },
  {
    what: "a certificate that is not there",
    args: (place, home) => [
      ...["up", "--home", home, "--port", "0"],
      ...["--tls-cert", place.file("none"), "--tls-key", place.file("none")],
    ],
    code: 2,
    says: (place) => `Speak TLS: there is no ${place.file("none")}`,
  },
  {
    what: "a restore from a file that is not there",
    args: (place, home) => ["restore", place.file("none"), "--home", home],
    code: 1,
    says: (place) => `Read ${place.file("none")}: there is no such file`,
  },
  {
    what: "a head of the audit log that is none",
    args: (place, home) => ["audit", "verify", "--head", "1:2", ...agents(place, home).slice(1)],
    code: 2,
    says: () => "Read --head: '1:2' is not <seq>:<hash>, as 'audit verify' prints it",
  },
  {
    what: "an empty message",
    args: (place, home) => ["send", "alice", " ", ...agents(place, home).slice(1)],
    code: 2,
    says: () => "Send a message: the text is empty",
  },
  {
    what: "a message to nobody",
    args: (place, home) => ["send", "nobody", "hello", ...agents(place, home).slice(1)],
    code: 1,
    says: () => 'Send to "nobody": there is no agent of that name',
  },
];

export const taken: Row[] = [
  {
    what: "a taken port of up",
    args: (place, home) => ["up", "--home", home, "--port", place.relayPort],
    code: 75,
    says: (place) =>
      `Listen on 127.0.0.1:${place.relayPort}: the port is taken; give another one, or 0 for any`,
  },
  {
    what: "a taken port of proxy",
    args: (place, home) => proxy(home, "--port", place.relayPort),
    code: 75,
    says: (place) =>
      `Listen on 127.0.0.1:${place.relayPort}: the port is taken; give another one, or 0 for any`,
  },
];

export const addresses: Row[] = [
  {
    what: "a relay that is a web server, asked by a person",
    args: (place, home) => agents(place, home, "--relay", place.web),
    code: 69,
    says: (place) =>
      `Reach the relay at ${place.web}: what answered (status 200) is not an Agent Relay of this version`,
  },
  {
    what: "a relay that is a web server, asked by a runner",
    args: (place, home) => run(place, home, "--relay", place.web),
    code: 69,
    says: (place) =>
      `Reach the relay at ${place.web}: what answered (status 200) is not an Agent Relay of this version`,
  },
  {
    what: "a relay where nothing listens",
    args: (place, home) => agents(place, home, "--relay", "http://127.0.0.1:1"),
    code: 69,
    says: () => "Reach the relay at http://127.0.0.1:1: nothing answers there (ECONNREFUSED)",
  },
  {
    what: "an address with the path of its MCP endpoint",
    args: (place, home) => agents(place, home, "--relay", `${place.relay}/api/mcp`),
    code: 2,
    says: (place) =>
      `Read --relay: '${place.relay}/api/mcp' has a path; the relay's address alone was wanted, such as http://127.0.0.1:4850`,
  },
  {
    what: "an address that is none",
    args: (place, home) => run(place, home, "--relay", "relay"),
    code: 2,
    says: () => "Read --relay: 'relay' is not an http or https URL, such as http://127.0.0.1:4850",
  },
  {
    what: "no relay in the home",
    args: (_, home) => ["agents", "--home", home],
    code: 2,
    says: (place) =>
      `Find the relay: none runs from ${join(place.rows, "home")}; start one with 'agent-relay up' or give --relay URL`,
  },
  {
    what: "an upstream that is no address",
    args: (_, home) => ["proxy", "--upstream", "files", "--home", home],
    code: 2,
    says: () => "Read --upstream: 'files' is not an http or https URL, such as http://127.0.0.1:4850",
  },
];

export const authorities: Row[] = [
  {
    what: "an authority that is not there",
    args: (place, home) => proxy(home, "--upstream-ca", place.file("none.pem")),
    code: 2,
    says: (place) => `Read --upstream-ca: there is no ${place.file("none.pem")}`,
  },
  {
    what: "an authority that is no certificate",
    args: (place, home) => proxy(home, "--upstream-ca", place.file("text")),
    code: 2,
    says: (place) => `Read --upstream-ca ${place.file("text")}: it holds no certificate in PEM`,
  },
];

export const policies: Row[] = [
  {
    what: "a policy that is not there",
    args: (place, home) => proxy(home, "--policy", place.file("none.json")),
    code: 2,
    says: (place) =>
      `Read the policy ${place.file("none.json")}: ENOENT: no such file or directory, open '${place.file("none.json")}'`,
  },
  {
    what: "a policy that is not JSON",
    args: (place, home) => proxy(home, "--policy", place.file("cut.json")),
    code: 2,
    says: (place) => `Read the policy ${place.file("cut.json")}: line 1: this is not JSON`,
  },
  {
    what: "a policy without a key, told with its JSON path",
    args: (place, home) => proxy(home, "--policy", place.file("no-key.json")),
    code: 2,
    says: (place) =>
      `Read the policy ${place.file("no-key.json")}: line 1, $.tools["write it"].buffered: a buffered tool needs "key", the place of its idempotency key`,
  },
  {
    what: "a policy with an unknown member, told with its JSON path",
    args: (place, home) => proxy(home, "--policy", place.file("unknown.json")),
    code: 2,
    says: (place) =>
      `Read the policy ${place.file("unknown.json")}: line 1, $.tools["a"].buffer: is not known; wanted one of buffered, drainFirst, shownWhen, readOnly, key, timeoutMs`,
  },
];

const unknownToken =
  "Authenticate: no token that this relay knows was given, 'Authorization: Bearer arl_…' was wanted";

const tokenRows = [
  { name: "unknown.token", code: 77, says: () => unknownToken },
  {
    name: "malformed.token",
    code: 2,
    says: (path: string) => `Read the token file ${path}: it does not hold an Agent Relay token (arl_…)`,
  },
  {
    name: "empty.token",
    code: 2,
    says: (path: string) => `Read the token file ${path}: it does not hold an Agent Relay token (arl_…)`,
  },
  { name: "none.token", code: 2, says: (path: string) => `Read the token file: there is no ${path}` },
  {
    name: "open.token",
    code: 77,
    says: (path: string) => `Read ${path}: others may read it (mode 644), 600 was wanted`,
  },
];
export const tokens: Row[] = tokenRows.flatMap(({ name, code, says }) =>
  [run, agents].map((command) => ({
    what: `${name} for ${command === run ? "run" : "agents"}`,
    args: (place: Place, home: string) => command(place, home, "--token-file", place.file(name)),
    code,
    says: (place: Place) => says(place.file(name)),
  })),
);
