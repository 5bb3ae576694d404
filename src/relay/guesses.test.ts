/** Guesses at tokens: slowed for the peer that guesses, for nobody else, and never for long enough to hold up the end. */
import { expect, test } from "bun:test";
import { connect } from "node:net";
import { guess, standingClock } from "../../test/fixtures/guesses.ts";
import { type RunningRelay, runningRelay } from "../../test/fixtures/running-relay.ts";
import { limits } from "../limits.ts";

const wrong = `Bearer arl_opr_${"x".repeat(49)}`;

/** Asks who there is. @returns status and detail; the first bytes of the answer when it came from another address */
async function ask(relay: RunningRelay, authorization: string | undefined): Promise<string> {
  const headers = authorization === undefined ? {} : { authorization };
  const answer = await fetch(`${relay.server.url}/api/v1/agents`, { headers });
  const { detail } = (await answer.json()) as { detail?: string };
  return `${answer.status} ${detail ?? "answered"}`;
}

/** The same from another address of this machine. @returns the status */
function askFrom(relay: RunningRelay, localAddress: string): Promise<string> {
  const port = Number(new URL(relay.server.url).port);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, localAddress }, () => {
      socket.write(
        `GET /api/v1/agents HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: ${wrong}\r\n\r\n`,
      );
    });
    socket.once("data", (bytes) => {
      resolve(bytes.toString("latin1", 9, 12));
      socket.destroy();
    });
    socket.once("error", reject);
  });
}

const no =
  "401 Authenticate: no token that this relay knows was given, 'Authorization: Bearer arl_…' was wanted";

test("[P4.5] S5: guesses at a token are slowed, whoever has one is not, nor is another peer", async () => {
  const clock = standingClock(limits.failedLoginDelayMs);
  await using relay = await runningRelay({ clock: { ...clock, skip() {} } });
  const right = `Bearer ${relay.operatorToken}`;
  const asked = (given: string | undefined) => ask(relay, given);
  expect(await guess({ clock, ask: asked, right, wrong })).toEqual({
    first: Array(10).fill(no),
    right: Array(5).fill("200 answered"),
    early: [],
    late: [no, no],
  });
  expect(await askFrom(relay, "127.0.0.2")).toBe("401");
});

test("S5: the end of the relay does not wait for held answers", async () => {
  const clock = standingClock(limits.failedLoginDelayMs);
  const relay = await runningRelay({ clock: { ...clock, skip() {} } });
  for (let i = 0; i < limits.failedLoginsMax; i += 1) await ask(relay, wrong);
  const held = ask(relay, wrong);
  await ask(relay, `Bearer ${relay.operatorToken}`);
  const start = performance.now();
  await relay.server.close();
  expect(await held).toBe(no);
  expect(performance.now() - start).toBeLessThan(limits.pumpFlushMs);
});
