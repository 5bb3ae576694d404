/** The real clients at exact versions, from npm, in a folder that is kept between runs: half a gigabyte of programs. */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The versions that everything here was measured with. */
export const versions = { claude: "2.1.330", codex: "0.169.0" } as const;

/** Where the programs are. */
export type Clients = { claude: string; codex: string };

const dependencies = {
  "@anthropic-ai/claude-code": versions.claude,
  "@openai/codex": versions.codex,
};

/** Installs what is not there yet, without running any script of the packages. Throws with what npm said. */
export function installClients(): Clients {
  const folder = join(tmpdir(), `agent-relay-clients-${versions.claude}-${versions.codex}`);
  if (!existsSync(folder)) {
    const fresh = `${folder}-${process.pid}`;
    rmSync(fresh, { recursive: true, force: true });
    mkdirSync(fresh, { recursive: true });
    writeFileSync(join(fresh, "package.json"), JSON.stringify({ private: true, dependencies }));
    const args = [
      "install",
      "--ignore-scripts",
      "--no-audit",
      "--no-fund",
      "--omit=dev",
      "--engine-strict=false",
    ];
    const { exitCode, stderr } = Bun.spawnSync(["npm", ...args], { cwd: fresh, stdout: "ignore" });
    if (exitCode !== 0) throw new Error(`Install the clients: npm ended with ${exitCode}: ${stderr}`);
    // A folder of that name is always a whole one.
    renameSync(fresh, folder);
  }
  return {
    claude: programIn(folder, "node_modules/@anthropic-ai/claude-code-*/claude"),
    codex: programIn(folder, "node_modules/@openai/codex-*/vendor/*/bin/codex"),
  };
}

function programIn(folder: string, pattern: string): string {
  const [found] = new Bun.Glob(pattern).scanSync({ cwd: folder, absolute: true, onlyFiles: true });
  if (found === undefined)
    throw new Error(
      `Install the clients: npm left no ${pattern} in ${folder}: this machine has no build of it`,
    );
  return found;
}
