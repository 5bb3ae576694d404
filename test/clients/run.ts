/**
 * `npm run test:clients`: both real clients, installed from npm, against a scripted model, through this relay and
 * runner, in a network namespace that has nothing but loopback. Arguments choose files by a part of their path,
 * `-t NAME` tests by their name; CLIENTS_KEEP=1 keeps homes and logs. The last line is `N passed, N failed`.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Clients, installClients } from "./install.ts";

const root = resolve(import.meta.dir, "../..");
/** A file that is not done by then hangs. */
const fileMs = 300_000;

/** Becomes the command in new namespaces: only loopback, and the resolver that the tests watch. */
const enter = `
set -eu
printf 'nameserver 127.0.0.1\\noptions timeout:2 attempts:1\\n' > "$CLIENTS_FOLDER/resolv.conf"
mount --make-rprivate /
mount --bind "$CLIENTS_FOLDER/resolv.conf" "$(readlink -f /etc/resolv.conf)"
for folder in /etc/claude-code /etc/codex; do [ ! -d "$folder" ] || mount -t tmpfs tmpfs "$folder"; done
ip link set lo up
exec "$@"
`;

/** The whole environment of the tests and of everything they start: nothing of the person's. */
function environmentOf(folder: string, clients: Clients): Record<string, string> {
  return {
    PATH: "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
    HOME: join(folder, "home"),
    TMPDIR: tmpdir(),
    LANG: "C.UTF-8",
    TERM: "xterm-256color",
    CLIENTS_FOLDER: folder,
    CLIENTS_CLAUDE: clients.claude,
    CLIENTS_CODEX: clients.codex,
    ...(process.env.CI === undefined ? {} : { CI: process.env.CI }),
    ...(process.env.CLIENTS_KEEP === undefined ? {} : { CLIENTS_KEEP: process.env.CLIENTS_KEEP }),
  };
}

/** A new network and mount namespace; an ordinary user is root in a user namespace of their own. */
function namespaces(): string[] {
  const isRoot = process.getuid?.() === 0;
  return ["unshare", ...(isRoot ? [] : ["--user", "--map-root-user"]), "--net", "--mount"];
}

/** Why the namespaces cannot be made here, and what it takes; undefined when they can. */
function lacking(env: Record<string, string>): string | undefined {
  const missing = ["unshare", "mount", "ip"].filter(
    (name) => Bun.which(name, { PATH: env.PATH ?? "" }) === null,
  );
  if (missing.length > 0)
    return `${missing.join(", ")} not found on PATH (${env.PATH}); on Debian they are in util-linux, mount and iproute2`;
  const command = [...namespaces(), "sh", "-c", enter, "sh", "true"];
  const { success, stderr } = Bun.spawnSync(command, {
    env,
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  if (success) return undefined;
  return (
    `'${namespaces().join(" ")}' and what follows in it said '${stderr.toString().trim()}'; root needs CAP_SYS_ADMIN, ` +
    "an ordinary user the right to user namespaces (user.max_user_namespaces, kernel.unprivileged_userns_clone, AppArmor)"
  );
}

type Counts = { passed: number; failed: number };

function runFile(file: string, env: Record<string, string>, only: readonly string[]): Counts {
  const test = [process.execPath, "test", "--timeout", "60000", ...only, `./${file}`];
  const command = [...namespaces(), "sh", "-c", enter, "sh", ...test];
  const startedAt = performance.now();
  const child = Bun.spawnSync(command, {
    cwd: root,
    env,
    stdin: "ignore",
    stdout: "inherit",
    stderr: "pipe",
    timeout: fileMs,
    killSignal: "SIGKILL",
  });
  const said = child.stderr.toString();
  process.stderr.write(said);
  const count = (word: string) => Number(new RegExp(`^ *(\\d+) ${word}$`, "m").exec(said)?.[1] ?? 0);
  const skipped = process.env.CI === "true" ? count("skip") : 0;
  const failed = count("fail") + skipped;
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  console.log(`== ${file}: exit code ${child.exitCode} after ${seconds} s`);
  return { passed: count("pass"), failed: failed === 0 && child.exitCode !== 0 ? 1 : failed };
}

/** In CI a file that failed gets a second chance, in the open: `docs/decisions/0033-a-second-chance-for-timed-tests.md`. */
function runTwice(file: string, env: Record<string, string>, only: readonly string[]): Counts {
  const counts = runFile(file, env, only);
  if (counts.failed === 0 || process.env.CI !== "true") return counts;
  console.log(`AGAIN ${file}: it failed once, the second run counts`);
  return runFile(file, env, only);
}

/** Runs the files, one after the other; the exit code of the process. */
function main(given: readonly string[]): number {
  const at = given.indexOf("-t");
  const filters = at === -1 ? given : given.slice(0, at);
  const only = at === -1 ? [] : given.slice(at, at + 2);
  const clients = installClients();
  const folder = mkdtempSync(join(tmpdir(), "agent-relay-clients-run-"));
  const files = [...new Bun.Glob("test/clients/*.scenario.ts").scanSync(root)]
    .filter((file) => filters.length === 0 || filters.some((part) => file.includes(part)))
    .sort();
  try {
    const fault = lacking(environmentOf(folder, clients));
    if (fault !== undefined) {
      console.error(
        `Run the clients where nothing but loopback is: no namespace for them can be made: ${fault}`,
      );
      return 1;
    }
    const counts = files.map((file) => runTwice(file, environmentOf(folder, clients), only));
    const sum = (key: keyof Counts) => counts.reduce((total, one) => total + one[key], 0);
    console.log(`${sum("passed")} passed, ${sum("failed")} failed`);
    return sum("failed") === 0 && sum("passed") > 0 ? 0 : 1;
  } finally {
    if (process.env.CLIENTS_KEEP === undefined) rmSync(folder, { recursive: true, force: true });
    else console.log(`kept: ${folder}`);
  }
}

if (import.meta.main) process.exit(main(process.argv.slice(2)));
