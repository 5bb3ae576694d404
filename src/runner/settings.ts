/**
 * This machine's own settings for providers, from `config.toml` in the home: for all agents (`[claude]`), and by profile
 * (`[profiles.NAME.claude]`), which wins. They never come from the relay, which could else run code everywhere, nor from
 * a repository.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { isMissing, requireOwnFolder } from "../base/file.ts";

const settingsSchema = z.strictObject({
  program: z.string().min(1).optional(),
  args: z.array(z.string()).optional(),
  env: z.record(z.string(), z.string()).optional(),
  model: z.string().min(1).optional(),
  effort: z.string().min(1).optional(),
  approval: z.string().min(1).optional(),
  sandbox: z.string().min(1).optional(),
  toolOutputTokens: z.number().int().positive().optional(),
});
const providersSchema = z.strictObject({
  claude: settingsSchema.optional(),
  codex: settingsSchema.optional(),
  exec: settingsSchema.optional(),
});
const configSchema = providersSchema.extend({
  profiles: z.record(z.string(), providersSchema).optional(),
});

/** Settings for one provider, in the words of its contract. */
export type MachineSettings = z.infer<typeof settingsSchema>;
/** All settings of this machine. */
export type MachineConfig = z.infer<typeof configSchema>;
type ProviderKey = keyof z.infer<typeof providersSchema>;

/** The configuration has not the wanted form; the message names the file and the member. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/** Reads `config.toml` of a home; empty when there is none. Throws `ConfigError`. */
export function readConfig(home: string): MachineConfig {
  const path = join(home, "config.toml");
  const text = textOf(home, path);
  if (text === undefined) return {};
  let value: unknown;
  try {
    value = Bun.TOML.parse(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError(`Read ${path}: it is not TOML: ${why}`, { cause });
  }
  const parsed = configSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new ConfigError(
    `Read ${path}: ${[...(issue?.path ?? [])].join(".") || "the file"}: ${issue?.message}`,
  );
}

/** The settings that hold for a provider under a profile: each member by itself, environments joined. */
export function settingsFor(
  config: MachineConfig,
  provider: ProviderKey,
  profile: string | undefined,
): MachineSettings {
  const all = config[provider] ?? {};
  const own = (profile === undefined ? undefined : config.profiles?.[profile]?.[provider]) ?? {};
  const env = { ...all.env, ...own.env };
  return { ...all, ...own, ...(Object.keys(env).length === 0 ? {} : { env }) };
}

function textOf(home: string, path: string): string | undefined {
  try {
    requireOwnFolder(home);
    return readFileSync(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
