/**
 * What a runner keeps of itself at one relay: its long-lived token, the agent it runs, and the agent's runtime
 * token. One 0600 file per relay and agent name; every change is on disk before it is used.
 */
import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { isMissing, privateFolder, readPrivate, writePrivate } from "../base/file.ts";
import { type AgentId, asId, type RelayId } from "../wire/id.ts";
import { features, isScope } from "../wire/scope.ts";

const scopeList = z.array(z.string()).transform((names) => names.filter(isScope));
const switches = z.partialRecord(z.enum(features), z.boolean());
const agentTokenSchema = z.object({
  secret: z.string(),
  jti: z.string(),
  profile: z.string(),
  scopes: scopeList,
  /** What the profile switches on around the agent. */
  features: switches.optional(),
  /** By this machine's clock, ms since 1970. */
  expiresAt: z.number(),
});
const credentialSchema = z.object({
  relayUrl: z.url(),
  relayId: z.uuid().transform((text) => asId<RelayId>(text)),
  agentName: z.string(),
  /** Runner token; stored before the relay has heard of it. */
  secret: z.string(),
  /** Its successor, asked for and not yet answered. */
  successor: z.string().optional(),
  /** Those before it, the newest first: a relay restored from a copy may know one of them still. */
  earlier: z.array(z.string()).optional(),
  /** When it was made or last renewed, and when it ends, by this machine's clock, ms since 1970. */
  renewedAt: z.number().optional(),
  expiresAt: z.number().optional(),
  /** Absent until the relay has accepted the runner token. */
  agentId: z
    .uuid()
    .transform((text) => asId<AgentId>(text))
    .optional(),
  profile: z.string().optional(),
  scopes: scopeList.optional(),
  features: switches.optional(),
  agentToken: agentTokenSchema.optional(),
  /** Secret of the runtime token that was asked for and not yet answered. */
  nextSecret: z.string().optional(),
});

/** A runtime token of the agent, as the runner holds it. */
export type AgentToken = z.infer<typeof agentTokenSchema>;
export type Credential = z.infer<typeof credentialSchema>;
/** A credential that the relay has accepted. */
export type EnrolledCredential = Credential & { agentId: AgentId };

/** The credential of a runner that runs: all that change a part of it do so here, so that none undoes another's. */
export type CredentialKeeper = {
  current(): EnrolledCredential;
  /** Stores a change, then it holds. When it cannot be stored nothing has changed, and this throws. */
  save(change: Partial<EnrolledCredential>): void;
  /** A change that holds whether it can be stored or not; what was wrong with storing it. */
  keep(change: Partial<EnrolledCredential>): unknown;
};

/**
 * Keeps a credential.
 * @param store makes it durable, or throws
 */
export function credentialKeeper(
  credential: EnrolledCredential,
  store: (credential: EnrolledCredential) => void,
): CredentialKeeper {
  let current = credential;
  return {
    current: () => current,
    save(change) {
      const changed = { ...current, ...change };
      store(changed);
      current = changed;
    },
    keep(change) {
      current = { ...current, ...change };
      try {
        store(current);
        return undefined;
      } catch (error) {
        return error;
      }
    },
  };
}

/** Where the credential of an agent at a relay is kept. */
export function credentialPath(home: string, relayId: RelayId, agentName: string): string {
  return join(home, "runners", relayId, `${agentName}.json`);
}

/** Folder of everything else that belongs to one agent at one relay on this machine. */
export function agentFolder(home: string, relayId: RelayId, agentId: AgentId): string {
  return join(home, "runners", relayId, agentId);
}

/** The stored credential, or undefined; throws when the file is damaged or readable by others. */
export function loadCredential(home: string, relayId: RelayId, agentName: string): Credential | undefined {
  return parse(credentialPath(home, relayId, agentName));
}

/** All credentials of a home, the one stored last first: of two with the same address it is the one in use. */
export function listCredentials(home: string): Credential[] {
  const paths = folders(join(home, "runners")).flatMap((relayId) =>
    folders(join(home, "runners", relayId))
      .filter((name) => name.endsWith(".json"))
      .map((name) => join(home, "runners", relayId, name)),
  );
  return paths
    .map((path) => ({ credential: parse(path), storedAt: lstatSync(path).mtimeMs }))
    .sort((a, b) => b.storedAt - a.storedAt)
    .flatMap(({ credential }) => credential ?? []);
}

/** True when the relay has accepted the runner token. */
export function isEnrolled(credential: Credential | undefined): credential is EnrolledCredential {
  return credential?.agentId !== undefined;
}

/** Stores the credential; it is on disk when this returns. */
export function saveCredential(home: string, credential: Credential): void {
  for (const path of [home, join(home, "runners"), join(home, "runners", credential.relayId)])
    privateFolder(path);
  writePrivate(
    credentialPath(home, credential.relayId, credential.agentName),
    `${JSON.stringify(credential, null, 2)}\n`,
  );
}

function parse(path: string): Credential | undefined {
  const text = readPrivate(path);
  if (text === undefined) return undefined;
  try {
    return credentialSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new Error(`Read ${path}: it is not a runner credential; move it away and enrol again`, {
      cause: error,
    });
  }
}

function folders(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
