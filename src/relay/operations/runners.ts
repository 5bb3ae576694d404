/** Enrolling a runner for an agent, and the runtime tokens of the agent it runs. */
import { limits } from "../../limits.ts";
import type { EnrolmentResult } from "../../store/store.ts";
import { RelayError } from "../../wire/error.ts";
import { type AgentId, asId, uuidV7 } from "../../wire/id.ts";
import { type Principal, requireAgent } from "../access.ts";
import { type Relay, timeText } from "../relay.ts";
import { revoked, superseded } from "../revoke.ts";
import { agentToken, narrowed, runnerToken } from "../tokens.ts";
import { known, type Operation } from "./operation.ts";

/** The operator's own agent; no runner can have it. */
const reservedNames: readonly string[] = ["operator"];

type Enrolled = Extract<EnrolmentResult, { status: "enrolled" }>;

export const enrolRunner: Operation<"enrolRunner"> = async (relay, input, by) => {
  const enroller = known(by);
  if (reservedNames.includes(input.agentName)) {
    throw new RelayError("name_taken", `Enrol a runner for '${input.agentName}': the name is reserved`);
  }
  const { store, clock } = relay;
  const now = clock.now();
  const agentId = asId<AgentId>(newId(relay));
  const { machine, secretHash: hash, place } = input;
  const result = await store.enrol(
    {
      agentId,
      name: input.agentName,
      provider: input.provider,
      machine,
      profile: input.profile,
      place,
      token: runnerToken(enroller, { id: newId(relay), hash, agentId, machine, now }),
      takeover: input.takeover === true,
      mayTakeOver: enroller.scopes.includes("agent:admin"),
      displacedUntil: now + limits.recordAgeMaxMs,
      leaseUntil: now + limits.leaseMs,
    },
    now,
  );
  if (result.status !== "enrolled") throw refusal(input.agentName, input.profile, result);
  await told(relay, enroller, result);
  const { agent, token } = result;
  return {
    agentId: agent.id,
    agentName: agent.name,
    relayId: store.identity.relayId,
    tokenId: token.id,
    profile: agent.profile,
    agentScopes: narrowed(token.profileScopes, token.grants ?? token.profileScopes),
    features: token.features,
    leaseEpoch: agent.lease?.epoch ?? 0,
    ...(token.expiresAt === undefined ? {} : { expiresAt: timeText(token.expiresAt) }),
    relayTime: timeText(now),
  };
};

/** What follows from an enrolment here, and what is written down of it. */
async function told(relay: Relay, by: Principal, { agent, token, displaced, ...ended }: Enrolled) {
  revoked(relay, displaced === undefined ? ended.revoked : [displaced.holder, ...ended.revoked]);
  relay.hub.agentsChanged();
  const facts = {
    machine: agent.machine,
    profile: agent.profile,
    token: token.id,
    ...(displaced === undefined ? {} : { displaced: displaced.holder }),
  };
  await relay.audit({ kind: "runner_enrolled", by, subject: agent.name, facts });
  if (displaced === undefined || displaced.silent) return;
  await relay.audit({
    kind: "lease_taken_over",
    by,
    subject: agent.name,
    facts: { from: displaced.machine, to: agent.machine, live: displaced.live, displaced: displaced.holder },
  });
}

function refusal(
  name: string,
  profile: string | undefined,
  result: Exclude<EnrolmentResult, Enrolled>,
): RelayError {
  if (result.status === "profile_unknown") {
    return new RelayError(
      "bad_request",
      `Use profile '${profile ?? ""}': there is none of that name; 'agent-relay profile ls' lists them`,
    );
  }
  const { machine, live } = result;
  const since = timeText(result.since);
  const data = { machine, since, live };
  const holder = `a runner on ${machine} holds the name since ${since}${live ? "" : ", without a sign of life"}`;
  return result.status === "name_taken"
    ? new RelayError("name_taken", `Enrol a runner for '${name}': ${holder}; a takeover would displace it`, {
        data,
      })
    : new RelayError(
        "forbidden",
        `Take '${name}' over: ${holder}; agent:admin was wanted for one that is live`,
        {
          data: { ...data, wanted: "agent:admin" },
        },
      );
}

export const mintAgentToken: Operation<"mintAgentToken"> = async (relay, { secretHash, replaces }, by) => {
  const runner = requireAgent(known(by), "Mint an agent token");
  const now = relay.clock.now();
  const wanted = agentToken(runner, { id: newId(relay), hash: secretHash, now });
  const usedUntil = now + limits.tokenOverlapMs;
  const minted = await relay.store.mintToken({ token: wanted, replaces, usedUntil }, now);
  if (minted.status === "reused") {
    revoked(relay, minted.revoked);
    const facts = { revoked: minted.revoked.length, agent: runner.agentName };
    await relay.audit({ kind: "token_reused", by: runner, subject: runner.tokenId, facts });
    throw new RelayError(
      "token_revoked",
      `Mint an agent token: the one to replace was replaced by another; token ${runner.tokenId} and all it minted are revoked`,
    );
  }
  const { token } = minted;
  // The same hash again gives the stored row; only the runner that stored it may hear of it.
  if (token.kind !== "agent" || token.parentId !== runner.tokenId) {
    throw new RelayError("forbidden", "Mint an agent token: the secret is in use by another token");
  }
  if (minted.added) {
    superseded(relay, minted.superseded, usedUntil);
    const facts = { agent: runner.agentName, scopes: token.scopes.join(" ") };
    await relay.audit({ kind: "token_minted", by: runner, subject: token.id, facts });
  }
  return {
    jti: token.id,
    profile: runner.profile ?? "",
    scopes: narrowed(token.scopes, runner.agentScopes),
    features: runner.features,
    expiresAt: timeText(token.expiresAt ?? wanted.expiresAt),
    relayTime: timeText(now),
  };
};

function newId({ clock, random }: Relay): string {
  return uuidV7(clock.now(), random.bytes(10));
}
