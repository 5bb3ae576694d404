/** Enrolling a runner for an agent, and the runtime tokens of the agent it runs. */
import { RelayError } from "../../wire/error.ts";
import { type AgentId, asId, uuidV7 } from "../../wire/id.ts";
import { requireAgent } from "../access.ts";
import { type Relay, timeText } from "../relay.ts";
import { revoked } from "../revoke.ts";
import { agentScopes, agentToken, profileOf, runnerToken } from "../tokens.ts";
import { known, type Operation } from "./operation.ts";

/** The operator's own agent; no runner can have it. */
const reservedNames: readonly string[] = ["operator"];

export const enrolRunner: Operation<"enrolRunner"> = async (relay, input) => {
  const { store, clock } = relay;
  if (reservedNames.includes(input.agentName)) {
    throw new RelayError("name_taken", `Enrol a runner for '${input.agentName}': the name is reserved`);
  }
  const profile = profileOf(input.profile);
  const agentId = asId<AgentId>(newId(relay));
  const result = await store.enrol(
    {
      agentId,
      name: input.agentName,
      provider: input.provider,
      machine: input.machine,
      profile: profile.name,
      token: runnerToken({
        id: newId(relay),
        hash: input.secretHash,
        agentId,
        profile,
        machine: input.machine,
      }),
      takeover: input.takeover === true,
    },
    clock.now(),
  );
  if (result.status === "name_taken") {
    const since = timeText(result.since);
    throw new RelayError(
      "name_taken",
      `Enrol a runner for '${input.agentName}': a runner on ${result.machine} holds the name since ${since}; a takeover would end it`,
      { data: { machine: result.machine, since } },
    );
  }
  revoked(relay, result.revoked);
  relay.hub.agentsChanged();
  const { agent, token } = result;
  return {
    agentId: agent.id,
    agentName: agent.name,
    relayId: store.identity.relayId,
    tokenId: token.id,
    profile: agent.profile,
    agentScopes: agentScopes(profileOf(agent.profile)),
  };
};

export const mintAgentToken: Operation<"mintAgentToken"> = async (relay, { secretHash }, by) => {
  const runner = requireAgent(known(by), "Mint an agent token");
  const now = relay.clock.now();
  const wanted = agentToken(runner, { id: newId(relay), hash: secretHash, now });
  const token = await relay.store.addToken(wanted, now);
  // The same hash again gives the stored row; only the runner that stored it may hear of it.
  if (token.kind !== "agent" || token.parentId !== runner.tokenId) {
    throw new RelayError("forbidden", "Mint an agent token: the secret is in use by another token");
  }
  return {
    jti: token.id,
    profile: token.profile ?? wanted.profile ?? "",
    scopes: token.scopes,
    expiresAt: timeText(token.expiresAt ?? wanted.expiresAt),
    relayTime: timeText(now),
  };
};

function newId({ clock, random }: Relay): string {
  return uuidV7(clock.now(), random.bytes(10));
}
