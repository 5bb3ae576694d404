/** Versions of providers, as their programs print them, and the oldest that this product was made for. Pure. */
import type { ProviderName } from "./launch.ts";

/** Numbers of a version, the most important first. */
export type Version = readonly [number, number, number];

/** Claude Code has an inbox socket since 2.1.224; what is asked of Codex's app-server was measured with 0.169.0. */
const oldest: Readonly<Partial<Record<ProviderName, Version>>> = {
  claude: [2, 1, 224],
  codex: [0, 169, 0],
};
const updates: Readonly<Partial<Record<ProviderName, string>>> = {
  claude: "npm install -g @anthropic-ai/claude-code@latest",
  codex: "npm install -g @openai/codex@latest",
};

/** The first version that stands in a text; undefined when none does. */
export function versionIn(text: string): Version | undefined {
  const match = /(?:^|[^\d.])(\d{1,5})\.(\d{1,5})\.(\d{1,5})/.exec(text);
  return match === null ? undefined : [Number(match[1]), Number(match[2]), Number(match[3])];
}

/** What to tell the person about a program of this version; undefined when it is new enough or not known. */
export function tooOld(provider: ProviderName, text: string): string | undefined {
  const wanted = oldest[provider];
  const found = versionIn(text);
  if (wanted === undefined || found === undefined || !isBefore(found, wanted)) return undefined;
  return (
    `${provider} ${found.join(".")} is older than ${wanted.join(".")}, from which on messages reach a running session; ` +
    `update it with '${updates[provider] ?? ""}'`
  );
}

function isBefore(a: Version, b: Version): boolean {
  const index = a.findIndex((number, at) => number !== b[at]);
  return index !== -1 && (a[index] ?? 0) < (b[index] ?? 0);
}
