/**
 * A person's machine as far as the two clients look at it: a fresh home with the settings that lead each client to its
 * scripted model, switch off what would ask other hosts, and allow what the scripts do. Nothing of it is this product's.
 */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Clients } from "./install.ts";

export type Person = {
  home: string;
  /** Where the clients work. */
  work: string;
  /** The person's environment; with it both clients are on PATH. */
  env: Record<string, string>;
};

/** Makes the home. */
export function makePerson(
  folder: string,
  { clients, models }: { clients: Clients; models: { messages: string; responses: string } },
): Person {
  const home = join(folder, "person");
  const [work, bin] = [join(home, "work"), join(home, "bin")];
  const temporary = join(home, "tmp");
  for (const path of [work, bin, temporary, join(home, ".claude"), join(home, ".codex")])
    mkdirSync(path, { recursive: true });
  symlinkSync(clients.claude, join(bin, "claude"));
  symlinkSync(clients.codex, join(bin, "codex"));
  const claude = {
    hasCompletedOnboarding: true,
    theme: "dark",
    projects: { [work]: { hasTrustDialogAccepted: true } },
  };
  writeFileSync(join(home, ".claude", ".claude.json"), JSON.stringify(claude));
  const allow = ["mcp__agent-relay", "Bash"];
  writeFileSync(join(home, ".claude", "settings.json"), JSON.stringify({ permissions: { allow } }));
  writeFileSync(join(home, ".codex", "config.toml"), codexConfig(models.responses, work));
  return {
    home,
    work,
    env: {
      PATH: `${bin}:${process.env.PATH ?? ""}`,
      HOME: home,
      LANG: "C.UTF-8",
      TERM: "xterm-256color",
      CLAUDE_CONFIG_DIR: join(home, ".claude"),
      // Its usual one is shared by all who are user 0 here, in this namespace or another one.
      CLAUDE_CODE_TMPDIR: temporary,
      ANTHROPIC_BASE_URL: models.messages,
      ANTHROPIC_AUTH_TOKEN: "the-persons-own-login",
      ANTHROPIC_MODEL: "claude-sonnet-4-5",
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
      CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL: "1",
      DISABLE_AUTOUPDATER: "1",
      CODEX_HOME: join(home, ".codex"),
      SCRIPTED_KEY: "the-persons-own-key",
    },
  };
}

function codexConfig(url: string, work: string): string {
  return `model = "gpt-5.1-codex"
model_provider = "scripted"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false

[model_providers.scripted]
name = "scripted"
base_url = "${url}"
wire_api = "responses"
env_key = "SCRIPTED_KEY"

[analytics]
enabled = false

[tui]
show_tooltips = false

[otel]
metrics_exporter = "none"

[features]
plugins = false
remote_plugin = false
apps = false

[projects."${work}"]
trust_level = "trusted"
`;
}
