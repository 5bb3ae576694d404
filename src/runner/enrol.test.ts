/** Coming to a credential: a real home, a relay made of functions. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seededRandom } from "../base/random.ts";
import { limits } from "../limits.ts";
import { RelayError } from "../wire/error.ts";
import { asId, type RelayId } from "../wire/id.ts";
import { defaultProfile } from "../wire/scope.ts";
import { tokenHash, tokenKind, tokenText } from "../wire/token.ts";
import { credentialPath, listCredentials, loadCredential, saveCredential } from "./credential.ts";
import { type EnrolOptions, obtainCredential } from "./enrol.ts";

const relayA = asId<RelayId>("00000000-0000-7000-8000-00000000000a");
const relayB = asId<RelayId>("00000000-0000-7000-8000-00000000000b");
const agentId = "00000000-0000-7000-8000-000000000001";
const start = Date.parse("2026-01-01T00:00:00Z");
const url = "http://127.0.0.1:4850";
const operator = tokenText("operator", seededRandom(9).bytes(32));

let folder = "";
let home = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "enrol-"));
  home = join(folder, "home");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

type Asked = { relay: boolean[]; tokens: number; hashes: string[]; requests: unknown[] };

/** Options whose relay accepts; `changes` replace single functions. */
function world(changes: Partial<EnrolOptions> = {}): { options: EnrolOptions; asked: Asked } {
  const asked: Asked = { relay: [], tokens: 0, hashes: [], requests: [] };
  const base: EnrolOptions = {
    home,
    relayUrl: url,
    agentName: "alice",
    provider: "exec",
    machine: "here",
    profile: undefined,
    place: "e".repeat(64),
    now: () => start,
    takeover: false,
    random: seededRandom(3),
    getRelay: async () => relayOf(relayA),
    enrolmentToken: () => operator,
    enrolRunner: async (_, { agentName }) => accepted(agentName),
  };
  const options = { ...base, ...changes };
  return {
    asked,
    options: {
      ...options,
      getRelay(patient) {
        asked.relay.push(patient);
        return options.getRelay(patient);
      },
      enrolmentToken() {
        asked.tokens += 1;
        return options.enrolmentToken();
      },
      enrolRunner(token, request) {
        asked.hashes.push(request.secretHash);
        asked.requests.push(request);
        return options.enrolRunner(token, request);
      },
    },
  };
}

const relayOf = (relayId: RelayId) => ({
  product: "agent-relay" as const,
  version: "0",
  relayId,
  generation: 1,
});
const accepted = (agentName: string) => ({
  agentId,
  agentName,
  relayId: relayA,
  tokenId: agentId,
  profile: "default",
  agentScopes: ["message:send" as const],
  features: defaultProfile.features,
  leaseEpoch: 1,
  // The relay's clock is an hour behind: only the difference counts.
  relayTime: new Date(start - 3_600_000).toISOString(),
  expiresAt: new Date(start - 3_600_000 + limits.runnerTokenMs).toISOString(),
});
const refuse = (error: Error) => () => Promise.reject(error);
const down = refuse(new Error("nothing answers there"));

describe("the first time", () => {
  test("P4: the runner's secret is on disk, 0600, before the relay hears its hash", async () => {
    let before = "";
    const { options } = world({
      async enrolRunner(_, { secretHash, agentName }) {
        const path = credentialPath(home, relayA, agentName);
        const { secret } = JSON.parse(readFileSync(path, "utf8")) as { secret: string };
        before = `${(statSync(path).mode & 0o777).toString(8)} ${tokenHash(secret) === secretHash}`;
        return accepted(agentName);
      },
    });
    await obtainCredential(options);
    expect(before).toBe("600 true");
  });

  test("it waits patiently for the relay and asks with the operator's token", async () => {
    const { options, asked } = world();
    const credential = await obtainCredential(options);
    expect(asked).toMatchObject({ relay: [true], tokens: 1 });
    expect(asked.requests).toEqual([
      {
        agentName: "alice",
        provider: "exec",
        machine: "here",
        place: "e".repeat(64),
        secretHash: tokenHash(credential.secret),
      },
    ]);
    expect(tokenKind(credential.secret)).toBe("runner");
    expect(credential).toMatchObject({ agentId, profile: "default", scopes: ["message:send"] });
    expect(loadCredential(home, relayA, "alice")).toEqual(credential);
    expect(readFileSync(credentialPath(home, relayA, "alice"), "utf8")).not.toContain(operator);
  });

  test("a relay that cannot be reached is told, and nothing is written", async () => {
    const { options, asked } = world({ getRelay: down });
    await expect(obtainCredential(options)).rejects.toThrow("nothing answers there");
    expect([asked.tokens, existsSync(home)]).toEqual([0, false]);
  });

  test.each(["runner", "agent"] as const)("a token of kind %s may not enrol", async (kind) => {
    const token = tokenText(kind, seededRandom(4).bytes(32));
    const { options, asked } = world({ enrolmentToken: () => token });
    await expect(obtainCredential(options)).rejects.toThrow(
      `Enrol alice: the token is of kind ${kind}, operator or host was wanted`,
    );
    expect([asked.hashes, existsSync(home)]).toEqual([[], false]);
  });

  test("a host's token may enrol", async () => {
    const token = tokenText("host", seededRandom(4).bytes(32));
    const { options } = world({ enrolmentToken: () => token });
    expect((await obtainCredential(options)).agentName).toBe("alice");
  });

  test.each(["Alice", "", "a b", "../x", "-a", "a".repeat(65)])(
    "the name %p is refused first of all",
    async (name) => {
      const { options, asked } = world({ agentName: name });
      await expect(obtainCredential(options)).rejects.toThrow(`'${name}' is not 1 to 64 of a-z`);
      expect([asked.relay, existsSync(home)]).toEqual([[], false]);
    },
  );
});

describe("a refusal", () => {
  const taken = new RelayError("name_taken", "the name is held");

  test("leaves nothing on disk, not even the home it made", async () => {
    const { options } = world({ enrolRunner: refuse(taken) });
    await expect(obtainCredential(options)).rejects.toBe(taken);
    expect(existsSync(home)).toBe(false);
  });

  test("leaves a home that was there before, with everything else in it", async () => {
    mkdirSync(join(home, "runners", relayA), { recursive: true, mode: 0o700 });
    writeFileSync(join(home, "runners", relayA, "bob.json"), "{}", { mode: 0o600 });
    rmSync(join(home, "runners", relayA, "bob.json"));
    writeFileSync(join(home, "config.toml"), "");
    const { options } = world({ enrolRunner: refuse(taken) });
    await expect(obtainCredential(options)).rejects.toBe(taken);
    expect(readdirSync(home)).toEqual(["config.toml"]);
  });

  test("an empty home of the person stays", async () => {
    mkdirSync(home, { mode: 0o700 });
    const { options } = world({ enrolRunner: refuse(taken) });
    await expect(obtainCredential(options)).rejects.toBe(taken);
    expect(existsSync(home)).toBe(true);
  });

  test("of a takeover keeps the credential that is still good", async () => {
    const first = await obtainCredential(world().options);
    const { options } = world({ takeover: true, enrolRunner: refuse(taken) });
    await expect(obtainCredential(options)).rejects.toBe(taken);
    expect(loadCredential(home, relayA, "alice")).toEqual(first);
  });
});

test("P2: an enrolment whose answer was lost is repeated with the same hash", async () => {
  const lost = world({ enrolRunner: refuse(new RelayError("unavailable", "reset")) });
  await expect(obtainCredential(lost.options)).rejects.toThrow("reset");
  const unknown = world({ random: seededRandom(5), enrolRunner: refuse(new Error("connection reset")) });
  await expect(obtainCredential(unknown.options)).rejects.toThrow("connection reset");
  const again = world({ random: seededRandom(6) });
  await obtainCredential(again.options);
  expect([...unknown.asked.hashes, ...again.asked.hashes]).toEqual([
    ...lost.asked.hashes,
    ...lost.asked.hashes,
  ]);
});

describe("with a stored credential", () => {
  test("P1: it is used while the relay is away; no token is read and nothing is asked", async () => {
    const first = await obtainCredential(world().options);
    const { options, asked } = world({ getRelay: down });
    expect(await obtainCredential(options)).toEqual(first);
    expect(asked).toEqual({ relay: [false], tokens: 0, hashes: [], requests: [] });
  });

  test("it is used when the same relay answers", async () => {
    const first = await obtainCredential(world().options);
    const { options, asked } = world();
    expect(await obtainCredential(options)).toEqual(first);
    expect(asked.hashes).toEqual([]);
  });

  test("another relay behind the same address is enrolled at anew; the old credential stays", async () => {
    const first = await obtainCredential(world().options);
    const { options } = world({ random: seededRandom(7), getRelay: async () => relayOf(relayB) });
    const second = await obtainCredential(options);
    expect(second.relayId).toBe(relayB);
    expect(second.secret).not.toBe(first.secret);
    expect(loadCredential(home, relayA, "alice")).toEqual(first);
  });

  test("of two relays that were behind one address the last is meant while none answers", async () => {
    await obtainCredential(world().options);
    const { options } = world({ random: seededRandom(7), getRelay: async () => relayOf(relayB) });
    const second = await obtainCredential(options);
    utimesSync(credentialPath(home, relayA, "alice"), new Date(0), new Date(0));
    expect(await obtainCredential(world({ getRelay: down }).options)).toEqual(second);
    utimesSync(credentialPath(home, relayB, "alice"), new Date(-1_000), new Date(-1_000));
    expect((await obtainCredential(world({ getRelay: down }).options)).relayId).toBe(relayA);
  });

  test("a relay that moved is known by its id: the new address is remembered", async () => {
    const first = await obtainCredential(world().options);
    const { options, asked } = world({ relayUrl: "http://127.0.0.1:4851" });
    expect(await obtainCredential(options)).toEqual({ ...first, relayUrl: "http://127.0.0.1:4851" });
    expect(asked.hashes).toEqual([]);
    expect(listCredentials(home).map(({ relayUrl }) => relayUrl)).toEqual(["http://127.0.0.1:4851"]);
  });

  test("one that has ended is of no use: the agent is enrolled again with a new secret", async () => {
    const first = await obtainCredential(world().options);
    expect(first.expiresAt).toBe(start + limits.runnerTokenMs);
    const stillGood = world({ now: () => start + limits.runnerTokenMs - 1 });
    expect(await obtainCredential(stillGood.options)).toEqual(first);
    const late = { now: () => start + limits.runnerTokenMs, random: seededRandom(7) };
    const second = await obtainCredential(world(late).options);
    expect(second.secret).not.toBe(first.secret);
  });

  test("the profile that was asked for is passed on", async () => {
    const { options, asked } = world({ profile: "reader" });
    await obtainCredential(options);
    expect(asked.requests).toMatchObject([{ profile: "reader" }]);
  });

  test("a takeover enrols with a new secret", async () => {
    const first = await obtainCredential(world().options);
    const { options, asked } = world({ takeover: true, random: seededRandom(7) });
    const second = await obtainCredential(options);
    expect(second.secret).not.toBe(first.secret);
    expect(asked.requests).toMatchObject([{ takeover: true }]);
    expect(loadCredential(home, relayA, "alice")).toEqual(second);
  });
});

describe("the credential file", () => {
  const credential = { relayUrl: url, relayId: relayA, agentName: "alice", secret: "s" };

  test("P4: [P4.6] is 0600 in folders of 0700", () => {
    saveCredential(home, credential);
    const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);
    const path = credentialPath(home, relayA, "alice");
    expect([path, join(path, ".."), join(path, "../.."), home].map(mode)).toEqual([
      "600",
      "700",
      "700",
      "700",
    ]);
  });

  test("others may not have a hand in the home or the file", () => {
    saveCredential(home, credential);
    const path = credentialPath(home, relayA, "alice");
    chmodSync(path, 0o640);
    expect(() => loadCredential(home, relayA, "alice")).toThrow(
      "others may read it (mode 640), 600 was wanted",
    );
    chmodSync(path, 0o600);
    chmodSync(home, 0o770);
    expect(() => saveCredential(home, credential)).toThrow(
      "others may write to it (mode 770), 700 was wanted",
    );
  });

  test.each(["", "{", "{}", '{"relayUrl":"no"}'])("with the content %p is named as damaged", (text) => {
    saveCredential(home, credential);
    writeFileSync(credentialPath(home, relayA, "alice"), text);
    expect(() => loadCredential(home, relayA, "alice")).toThrow("it is not a runner credential");
  });

  test("scopes that this version does not know are left out", () => {
    saveCredential(home, credential);
    const path = credentialPath(home, relayA, "alice");
    writeFileSync(path, JSON.stringify({ ...credential, agentId, scopes: ["message:send", "message:fly"] }));
    expect(loadCredential(home, relayA, "alice")?.scopes).toEqual(["message:send"]);
  });
});
