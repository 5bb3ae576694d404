/**
 * How the upstream last answered each era's opening request, for when it is slow or down; kept across restarts.
 */
import { fingerprint } from "../wire/id.ts";
import { isObject, type JsonObject } from "../wire/jsonrpc.ts";
import { type EraName, modernVersion, supportedVersions } from "./era.ts";
import type { EndpointOptions } from "./options.ts";

/** `absent`: the upstream answered, and does not speak that era. */
export type Opening = { kind: "result"; result: JsonObject } | { kind: "absent" };

export type Openings = {
  get(era: EraName): Opening | undefined;
  set(era: EraName, opening: Opening): void;
  load(): Promise<void>;
};

const eras: readonly EraName[] = ["modern", "legacy"];

export function createOpenings(options: EndpointOptions): Openings {
  const held = new Map<string, { text: string; opening: Opening }>();
  const keyOf = (era: EraName) => {
    const { relay, principal, profile } = options.authorization();
    return `opening:${fingerprint([relay, principal, profile, era])}`;
  };
  return {
    get: (era) => held.get(keyOf(era))?.opening,
    set(era, opening) {
      const key = keyOf(era);
      const text = JSON.stringify(opening);
      if (held.get(key)?.text === text) return;
      held.set(key, { text, opening });
      options.memory
        .save(key, opening)
        .catch((error: unknown) => options.log.warn("an opening could not be remembered", { era, error }));
    },
    async load() {
      for (const era of eras) {
        const key = keyOf(era);
        const value = await options.memory.load(key).catch((error: unknown) => {
          options.log.warn("a remembered opening could not be read", { era, error });
          return undefined;
        });
        const opening = parse(value);
        if (opening !== undefined && !held.has(key))
          held.set(key, { text: JSON.stringify(opening), opening });
      }
    },
  };
}

function parse(value: unknown): Opening | undefined {
  if (!isObject(value)) return undefined;
  if (value.kind === "absent") return { kind: "absent" };
  return isObject(value.result) ? { kind: "result", result: value.result } : undefined;
}

/** What an upstream that was never heard of is said to be able to. */
function builtinCapabilities(options: EndpointOptions): JsonObject {
  return options.policy.kind === "relay" ? { tools: {} } : { tools: {}, prompts: {}, resources: {} };
}

/** Capabilities and words of an opening result, as both eras have them; list changes are ours to tell. */
export function offered(options: EndpointOptions, result: JsonObject | undefined): JsonObject {
  const given = isObject(result?.capabilities) ? result.capabilities : builtinCapabilities(options);
  const tools = isObject(given.tools) ? given.tools : {};
  const instructions = result?.instructions;
  return {
    capabilities: { ...given, tools: { ...tools, listChanged: true } },
    ...(typeof instructions === "string" ? { instructions } : {}),
  };
}

/** The versions a discover result names: modern ones only, whatever the upstream speaks; legacy ones are negotiated by `initialize`. */
export function discoverVersions(): string[] {
  return supportedVersions.filter((version) => version === modernVersion);
}
