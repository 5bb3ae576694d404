/** All providers by name. */
import * as claude from "./claude.ts";
import * as codex from "./codex.ts";
import * as exec from "./exec.ts";
import { type Provider, type ProviderName, providerNames } from "./provider.ts";

export const providers: Readonly<Record<ProviderName, Provider>> = { claude, codex, exec };

/** True when the text names a provider. */
export function isProviderName(text: string): text is ProviderName {
  return (providerNames as readonly string[]).includes(text);
}
