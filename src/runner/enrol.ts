/**
 * How a runner comes to its credential: the stored one when the relay is the same, else an enrolment with an
 * operator's or host's token, which is read only then. The runner's secret is on disk before the relay hears its
 * hash, so an enrolment whose answer was lost is simply repeated. A definite refusal leaves nothing behind.
 */
import { existsSync, rmdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import type { Random } from "../base/random.ts";
import type { OperationReply, OperationRequest } from "../wire/api.ts";
import { RelayError } from "../wire/error.ts";
import { type AgentId, agentNameRule, asId, isAgentName, type RelayId } from "../wire/id.ts";
import { tokenHash, tokenKind, tokenText } from "../wire/token.ts";
import {
  type Credential,
  credentialPath,
  type EnrolledCredential,
  isEnrolled,
  listCredentials,
  loadCredential,
  saveCredential,
} from "./credential.ts";
import { localEnd } from "./renewal.ts";

export type EnrolOptions = {
  home: string;
  relayUrl: string;
  agentName: string;
  provider: string;
  machine: string;
  /** Profile for a new agent; undefined = the default one. */
  profile: string | undefined;
  /** Hash that names this machine and home. */
  place: string;
  takeover: boolean;
  random: Random;
  /** This machine's clock, ms since 1970. */
  now(): number;
  /** Which relay answers there; rejects when none does. `patient` waits for one that is not up yet. */
  getRelay(patient: boolean): Promise<OperationReply<"getRelay">>;
  /** Token that may enrol; called at most once. */
  enrolmentToken(): string;
  enrolRunner(
    token: string,
    request: OperationRequest<"enrolRunner">,
  ): Promise<OperationReply<"enrolRunner">>;
};

/** The credential of this agent at the relay that answers at this address, or that last did. */
export async function obtainCredential(options: EnrolOptions): Promise<EnrolledCredential> {
  if (!isAgentName(options.agentName)) {
    throw new RelayError("bad_request", `Name the agent: '${options.agentName}' is not ${agentNameRule}`);
  }
  const known = listCredentials(options.home).find(
    (credential) => credential.relayUrl === options.relayUrl && credential.agentName === options.agentName,
  );
  const stored = isUsable(known, options) ? known : undefined;
  const relay = await options.getRelay(stored === undefined).catch((error: unknown) => {
    if (stored === undefined) throw error;
    return undefined;
  });
  if (stored !== undefined && (relay === undefined || relay.relayId === stored.relayId)) return stored;
  if (relay === undefined) throw new Error("Unreachable: no relay and no credential");
  const relayId = asId<RelayId>(relay.relayId);
  const atRelay = loadCredential(options.home, relayId, options.agentName);
  if (isUsable(atRelay, options)) {
    const moved = { ...atRelay, relayUrl: options.relayUrl };
    saveCredential(options.home, moved);
    return moved;
  }
  return enrol(options, relayId, atRelay);
}

/** An ended one is of no use: the relay gives the agent to this machine again. */
function isUsable(
  credential: Credential | undefined,
  { takeover, now }: EnrolOptions,
): credential is EnrolledCredential {
  if (!isEnrolled(credential) || takeover) return false;
  return credential.expiresAt === undefined || credential.expiresAt > now();
}

async function enrol(
  options: EnrolOptions,
  relayId: RelayId,
  pending: Credential | undefined,
): Promise<EnrolledCredential> {
  const token = options.enrolmentToken();
  const kind = tokenKind(token);
  if (kind !== "operator" && kind !== "host") {
    throw new RelayError(
      "forbidden",
      `Enrol ${options.agentName}: the token is of kind ${kind}, operator or host was wanted`,
    );
  }
  const { relayUrl, agentName, home } = options;
  const secret =
    pending !== undefined && !isEnrolled(pending)
      ? pending.secret
      : tokenText("runner", options.random.bytes(32));
  const waiting: Credential = { relayUrl, relayId, agentName, secret };
  const madeHome = !existsSync(home);
  if (!isEnrolled(pending)) saveCredential(home, waiting);
  try {
    const reply = await options.enrolRunner(token, {
      agentName,
      provider: options.provider,
      machine: options.machine,
      secretHash: tokenHash(secret),
      place: options.place,
      ...(options.profile === undefined ? {} : { profile: options.profile }),
      ...(options.takeover ? { takeover: true } : {}),
    });
    const now = options.now();
    const enrolled: EnrolledCredential = {
      ...waiting,
      agentId: asId<AgentId>(reply.agentId),
      profile: reply.profile,
      scopes: reply.agentScopes as EnrolledCredential["scopes"],
      features: reply.features,
      renewedAt: now,
      expiresAt: localEnd(reply, now),
    };
    saveCredential(home, enrolled);
    return enrolled;
  } catch (error) {
    if (error instanceof RelayError && error.retry !== "same-key" && !isEnrolled(pending)) {
      forget(credentialPath(home, relayId, agentName), madeHome);
    }
    throw error;
  }
}

/** Removes a refused credential and the folders that only it needed. */
function forget(path: string, madeHome: boolean): void {
  rmSync(path, { force: true });
  const ofRelay = dirname(path);
  const runners = dirname(ofRelay);
  for (const folder of [ofRelay, runners, ...(madeHome ? [dirname(runners)] : [])]) {
    try {
      rmdirSync(folder);
    } catch {
      return; // Not empty: it was there for something else.
    }
  }
}
