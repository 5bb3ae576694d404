/** `agent-relay profile ls|show|set|rm`: what agents may do, as data of the relay. */
import type { OperationReply, OperationRequest } from "../../wire/api.ts";
import { defaultProfile, type Feature, type Scope } from "../../wire/scope.ts";
import { operatorClient, type RelayOptions } from "../context.ts";
import { CliError, type Printer } from "../print.ts";

type Profile = OperationReply<"getProfile">;
type NamedOptions = RelayOptions & { name: string };

export type ProfileSetOptions = NamedOptions & {
  scopes?: Scope[];
  allow?: Scope[];
  deny?: Scope[];
  on?: Feature[];
  off?: Feature[];
  burst?: number;
  perMinute?: number;
  fanOut?: number;
  hops?: number;
};

/** Prints all profiles. */
export async function profileList(options: RelayOptions, print: Printer): Promise<void> {
  const reply = await operatorClient(options).listProfiles({});
  print.data(reply);
  print.table(
    ["NAME", "AGENTS", "WRITES", "FAN-OUT", "HOPS", "OFF", "SCOPES"],
    reply.profiles.map((profile) => [
      profile.name,
      String(profile.agents),
      `${profile.limits.burst}, then ${profile.limits.perMinute}/min`,
      String(profile.limits.fanOutMax),
      String(profile.limits.hopsMax),
      offOf(profile) || "-",
      profile.scopes.join(" ") || "-",
    ]),
  );
}

/** Prints one profile. */
export async function profileShow(options: NamedOptions, print: Printer): Promise<void> {
  show(await operatorClient(options).getProfile({ name: options.name }), print);
}

/** Makes or changes a profile. */
export async function profileSet(options: ProfileSetOptions, print: Printer): Promise<void> {
  const client = operatorClient(options);
  const { name, scopes, allow = [], deny = [] } = options;
  if (scopes !== undefined && allow.length + deny.length > 0) {
    throw new CliError("usage", "Set a profile: --scopes says all of them; --allow and --deny change them");
  }
  const changed = scopes ?? (allow.length + deny.length > 0 ? await changedScopes(options) : undefined);
  const features = Object.fromEntries([
    ...(options.on ?? []).map((feature) => [feature, true]),
    ...(options.off ?? []).map((feature) => [feature, false]),
  ]) as Partial<Record<Feature, boolean>>;
  const limits: OperationRequest<"setProfile">["limits"] = {
    ...(options.burst === undefined ? {} : { burst: options.burst }),
    ...(options.perMinute === undefined ? {} : { perMinute: options.perMinute }),
    ...(options.fanOut === undefined ? {} : { fanOutMax: options.fanOut }),
    ...(options.hops === undefined ? {} : { hopsMax: options.hops }),
  };
  show(
    await client.setProfile({
      name,
      features,
      limits,
      ...(changed === undefined ? {} : { scopes: changed }),
    }),
    print,
  );
}

/** Removes a profile. */
export async function profileRemove(options: NamedOptions, print: Printer): Promise<void> {
  const profile = await operatorClient(options).removeProfile({ name: options.name });
  print.data(profile);
  print.line(`Profile ${profile.name} is removed`);
}

async function changedScopes(options: ProfileSetOptions): Promise<Scope[]> {
  const { profiles } = await operatorClient(options).listProfiles({});
  const held = profiles.find(({ name }) => name === options.name)?.scopes ?? defaultProfile.scopes;
  const { allow = [], deny = [] } = options;
  return [...new Set([...held, ...allow])].filter((scope) => !deny.includes(scope));
}

function show(profile: Profile, print: Printer): void {
  print.data(profile);
  const { name, scopes, features, limits, agents, builtIn } = profile;
  print.line(print.bold(builtIn ? `${name} (built in)` : name));
  print.line(`agents    ${agents}`);
  print.line(`scopes    ${scopes.join(" ") || "none"}`);
  print.line(
    `features  ${Object.entries(features)
      .map(([feature, on]) => `${feature} ${on ? "on" : "off"}`)
      .join(", ")}`,
  );
  print.line(
    `limits    ${limits.burst} writes at once, then ${limits.perMinute} per minute; ` +
      `${limits.fanOutMax} recipients; ${limits.hopsMax} forwards`,
  );
}

function offOf({ features }: Profile): string {
  return Object.entries(features)
    .filter(([, on]) => !on)
    .map(([feature]) => feature)
    .join(" ");
}
