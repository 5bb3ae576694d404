/**
 * Both tokens are renewed while a call of ours is on its way to the relay, and then the earlier one is ended under another
 * call: headless and at a terminal. The calls end well, exactly once, and neither the model nor its client hears of it.
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { limits } from "../../src/limits.ts";
import { mcpPath, operationTable } from "../../src/wire/api.ts";
import { until } from "../e2e/kit.ts";
import { needs } from "../needs.ts";
import { type Front, openFront } from "./front.ts";
import { watchNetwork } from "./network.ts";
import { type ClientName, clientNames, openRig, type Rig } from "./rig.ts";
import { connected } from "./supervised.ts";
import { complaints, delivery, missingTools, operatorGot, results, sendOrder, waitMs } from "./watched.ts";

const network = await watchNetwork();
const paths = {
  agentToken: operationTable.mintAgentToken.path,
  runnerToken: operationTable.renewToken.path,
};
/** Writes of agents go in lanes. */
const lanes = "/api/v1/lanes/";
let rig: Rig;
let front: Front;
beforeEach(async () => {
  rig = await openRig({ env: { HTTPS_PROXY: network.proxy } });
  front = openFront(rig.relayUrl);
});
afterEach(async () => {
  await rig.close();
  await front.close();
});

type Credential = {
  secret: string;
  renewedAt: number;
  agentToken: { secret: string; jti: string; expiresAt: number };
};
function credentialPath(): string {
  const [path, ...more] = new Bun.Glob("runners/*/ada.json").scanSync({
    cwd: rig.world.home,
    absolute: true,
  });
  if (path === undefined || more.length > 0) throw new Error(`${more.length} more credentials than one`);
  return path;
}
const jti = () => credential().agentToken.jti;
const credential = (): Credential => JSON.parse(readFileSync(credentialPath(), "utf8"));

/** Ada has been here before, so long ago that both of its tokens are due. */
async function enrolledLongAgo(): Promise<Credential> {
  const place = ["--relay", front.url, "--token-file", join(rig.world.home, "operator.token"), "HOME"];
  const { code, stderr } = await rig.world.cli(["run", "exec", "--name", "ada", ...place, "--", "true"]);
  if (code !== 0) throw new Error(`Enrol ada: ${stderr}`);
  const held = credential();
  const agentToken = { ...held.agentToken, expiresAt: Date.now() + limits.agentTokenRenewBeforeMs - 1 };
  const aged = { ...held, renewedAt: Date.now() - limits.runnerTokenRenewMs, agentToken };
  writeFileSync(credentialPath(), JSON.stringify(aged));
  return aged;
}

async function renewedUnderCalls(client: ClientName, start: () => Promise<unknown>): Promise<void> {
  const aged = await enrolledLongAgo();
  const stopped = {
    mint: front.stop(paths.agentToken),
    swap: front.stop(paths.runnerToken),
    read: front.stop(mcpPath, '"relay_list_channels"'),
    write: front.stop(lanes, "over the renewal"),
    last: front.stop(mcpPath, '"relay_list_agents"'),
  };
  await start();
  const orders = ["DO relay_list_channels", sendOrder("over the renewal"), "DO relay_list_agents"];
  await rig.send("ada", orders.join("\n"));
  const reached = (what: keyof typeof stopped) =>
    until(`${what} is on its way`, () => stopped[what].count() > 0 || undefined, waitMs);
  const changed = (what: string, now: () => string, before: string) =>
    until(`${what} is another one`, () => now() !== before || undefined, waitMs);

  // A read goes with the agent's token: renewed meanwhile.
  await Promise.all([reached("read"), reached("mint")]);
  expect(jti()).toBe(aged.agentToken.jti);
  stopped.mint.go();
  await changed("the agent's token", jti, aged.agentToken.jti);
  stopped.read.go();
  // A write goes with the runner's: swapped meanwhile.
  await Promise.all([reached("write"), reached("swap")]);
  expect(credential().secret === aged.secret).toBe(true);
  stopped.swap.go();
  await changed("the runner's token", () => credential().secret, aged.secret);
  stopped.write.go();
  // Another read, whose token is ended for good meanwhile: the relay refuses it, and it is repeated with the next one.
  await reached("last");
  const renewed = jti();
  const operator = ["--relay", rig.relayUrl, "HOME", "--token-file", join(rig.world.home, "operator.token")];
  expect((await rig.world.cli(["token", "revoke", renewed, ...operator])).code).toBe(0);
  await changed("the agent's token", jti, renewed);
  stopped.last.go();

  const { requests } = rig.models[client];
  await until("the turn is over", () => requests.find(({ move }) => move.kind === "say"), waitMs);
  expect(results(rig, client)).toEqual([
    expect.stringContaining(`"channels":`),
    expect.stringMatching(/"delivery":"(sent|queued)"/),
    expect.stringContaining(`"agents":`),
  ]);
  await delivery(rig, "the write", ({ recipient }) => recipient === "operator");
  expect(operatorGot(rig)).toEqual(["over the renewal"]);
  expect(front.answered(mcpPath, 401)).toBeGreaterThan(0);
  expect(missingTools(requests)).toEqual(requests.map(() => []));
  expect(complaints(rig, client)).toEqual([]);
}

describe.each([...clientNames])("%s", (client) => {
  test("P4: [P1.6] headless: tokens change under calls", () =>
    renewedUnderCalls(client, () => rig.headless("ada", client, { more: ["--relay", front.url] })));

  needs("tmux")("P4: [P1.6] at a terminal: tokens change under calls", () =>
    renewedUnderCalls(client, async () =>
      connected(rig, await rig.terminal("ada", client, { relay: front.url }), client),
    ),
  );
});

test("no host but loopback was tried", () => {
  expect(network.tried()).toEqual([]);
});
