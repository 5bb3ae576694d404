/** Feeds through a real relay: where they begin, what they bring, and how they end. */

import { expect, test } from "bun:test";
import { connect } from "node:net";
import { type RunningRelay, runningRelay } from "../../test/fixtures/running-relay.ts";
import { realClock, sleep, VirtualClock } from "../base/clock.ts";
import { sseEvents } from "../base/http/sse.ts";
import { silentLog } from "../base/log.ts";
import { seededRandom } from "../base/random.ts";
import { limits } from "../limits.ts";
import { openSqliteStore } from "../store/sqlite.ts";
import { type FeedEvent, feedEventSchema } from "../wire/feed.ts";
import { type AgentId, asId, type TokenId, uuidV7 } from "../wire/id.ts";
import { defaultProfile, scopesOf } from "../wire/scope.ts";
import { createAccess } from "./access.ts";
import { openFeed as openFeedOf } from "./feed.ts";
import { createHub } from "./hub.ts";
import { createObservers } from "./observers.ts";
import type { Relay } from "./relay.ts";
import { createStreams } from "./streams.ts";
import { operatorToken } from "./tokens.ts";
import { applyLive } from "./writes.ts";

type Opened = AsyncDisposable & {
  status: number;
  next(): Promise<{ id: string | undefined; event: FeedEvent } | undefined>;
  /** The next events that are not hints about the list of agents. */
  take(count: number): Promise<{ id: string | undefined; event: FeedEvent }[]>;
};

async function openFeed(relay: RunningRelay, token: string, after?: string): Promise<Opened> {
  const ending = new AbortController();
  const response = await fetch(`${relay.server.url}/api/v1/feed`, {
    headers: { Authorization: `Bearer ${token}`, ...(after === undefined ? {} : { "Last-Event-ID": after }) },
    signal: ending.signal,
  });
  const events = sseEvents(response.body ?? new ReadableStream(), limits.sseEventBytesMax);
  const next = async () => {
    const { value, done } = await events.next();
    if (done === true || value.data === undefined) return undefined;
    return { id: value.id, event: feedEventSchema.parse(JSON.parse(value.data)) };
  };
  return {
    status: response.status,
    next,
    async take(count) {
      const taken: { id: string | undefined; event: FeedEvent }[] = [];
      while (taken.length < count) {
        const item = await next();
        if (item === undefined) throw new Error(`The feed ended after ${taken.length} of ${count} events`);
        taken.push(...(item.event.type === "changed" && item.event.subject === "agents" ? [] : [item]));
      }
      return taken;
    },
    async [Symbol.asyncDispose]() {
      ending.abort();
    },
  };
}

const bodies = (items: { event: FeedEvent }[]) =>
  items.flatMap(({ event }) => (event.type === "message" ? [event.message.body] : []));

async function until(condition: () => Promise<boolean>): Promise<void> {
  const end = realClock.monotonic() + 3_000;
  while (!(await condition())) {
    if (realClock.monotonic() > end) throw new Error("The condition did not hold within 3 s");
    await sleep(realClock, 10);
  }
}

test("hello comes first, then the inbox after what was acknowledged, then what is sent now", async () => {
  await using relay = await runningRelay();
  const alice = await relay.enrol("alice");
  for (const body of ["1", "2"]) await relay.operator.sendMessage({ to: "alice", body });
  await alice.runner.acknowledgeInbox({ agent: "alice", seq: 1 });
  await using feed = await openFeed(relay, alice.runnerToken);
  const [hello, second] = await feed.take(2);
  expect(hello).toEqual({ id: "1:1", event: { type: "hello", generation: 1, seq: 1, reset: false } });
  expect(second).toMatchObject({ id: "1:2", event: { type: "message", message: { body: "2", seq: 2 } } });
  await relay.operator.sendMessage({ to: "alice", body: "3" });
  expect(bodies(await feed.take(1))).toEqual(["3"]);
});

test("a feed goes on after its cursor, without a gap and without a repetition", async () => {
  await using relay = await runningRelay();
  const alice = await relay.enrol("alice");
  const sent = Array.from({ length: 120 }, (_, i) => String(i + 1));
  for (const body of sent) await relay.operator.sendMessage({ to: "alice", body });
  await using first = await openFeed(relay, alice.runnerToken);
  const seen = await first.take(51);
  await first[Symbol.asyncDispose]();
  await using second = await openFeed(relay, alice.runnerToken, seen.at(-1)?.id);
  const rest = await second.take(71);
  expect(rest[0]?.event).toEqual({ type: "hello", generation: 1, seq: 50, reset: false });
  expect([...bodies(seen), ...bodies(rest)]).toEqual(sent);
});

test("a cursor of another generation, or past the newest message, is void: reset, from what was acknowledged", async () => {
  await using relay = await runningRelay();
  const alice = await relay.enrol("alice");
  await relay.operator.sendMessage({ to: "alice", body: "1" });
  for (const cursor of ["2:0", "1:7"]) {
    await using feed = await openFeed(relay, alice.runnerToken, cursor);
    const [hello, message] = await feed.take(2);
    expect(hello?.event).toEqual({ type: "hello", generation: 1, seq: 0, reset: true });
    expect(message?.id).toBe("1:1");
  }
  await using bad = await openFeed(relay, alice.runnerToken, "nonsense");
  expect(bad.status).toBe(400);
});

test("hints: the inbox was acknowledged, the agent's token was revoked, the list of agents changed", async () => {
  await using relay = await runningRelay();
  const alice = await relay.enrol("alice");
  await using feed = await openFeed(relay, alice.runnerToken);
  await feed.take(1);
  await relay.operator.sendMessage({ to: "alice", body: "1" });
  await alice.runner.acknowledgeInbox({ agent: "alice", seq: 1 });
  const { tokens } = await relay.operator.listTokens({});
  await relay.operator.revokeToken({ id: tokens.find(({ kind }) => kind === "agent")?.id ?? "" });
  const seen = await feed.take(3);
  expect(seen.map(({ event }) => (event.type === "changed" ? event.subject : event.type))).toEqual([
    "message",
    "inbox",
    "token",
  ]);
  await relay.enrol("bob");
  expect((await feed.next())?.event).toEqual({ type: "changed", subject: "agents" });
});

test("P4: [P4.7] revoking a token ends its feeds at once", async () => {
  await using relay = await runningRelay();
  const alice = await relay.enrol("alice");
  await using feed = await openFeed(relay, alice.runnerToken);
  await feed.take(1);
  const { tokens } = await relay.operator.listTokens({});
  await relay.operator.revokeToken({ id: tokens.find(({ kind }) => kind === "runner")?.id ?? "" });
  const start = realClock.monotonic();
  expect(await feed.next()).toBeUndefined();
  expect(realClock.monotonic() - start).toBeLessThan(1_000);
});

test("an agent is online while its runner follows the feed, and last seen when it stopped", async () => {
  await using relay = await runningRelay();
  const alice = await relay.enrol("alice");
  const view = async () => (await relay.operator.listAgents({})).agents.find(({ name }) => name === "alice");
  expect(await view()).toMatchObject({ online: false });
  await using feed = await openFeed(relay, alice.runnerToken);
  await feed.take(1);
  expect(await view()).toMatchObject({ online: true });
  relay.clock.skip(5_000);
  await feed[Symbol.asyncDispose]();
  await until(async () => (await view())?.online === false);
  const left = Date.parse((await view())?.lastSeenAt ?? "");
  expect(left).toBeGreaterThan(realClock.now() + 3_000);
});

test("only so many streams per token, and only with the scope", async () => {
  await using relay = await runningRelay();
  const alice = await relay.enrol("alice");
  await using forbidden = await openFeed(relay, alice.token);
  expect(forbidden.status).toBe(403);
  const feeds = await Promise.all(
    Array.from({ length: limits.feedStreamsPerPrincipalMax }, () => openFeed(relay, alice.runnerToken)),
  );
  await using refused = await openFeed(relay, alice.runnerToken);
  expect(refused.status).toBe(429);
  await feeds[0]?.[Symbol.asyncDispose]();
  await until(async () => {
    await using again = await openFeed(relay, alice.runnerToken);
    return again.status === 200;
  });
  await Promise.all(feeds.map((feed) => feed[Symbol.asyncDispose]()));
});

test("a reader that pauses gets everything all the same, in order and once", async () => {
  await using relay = await runningRelay();
  const alice = await relay.enrol("alice");
  const body = "x".repeat(limits.messageBodyBytesMax);
  const count = (3 * limits.streamBufferBytesMax) / limits.messageBodyBytesMax;
  for (let i = 0; i < count; i++) await relay.operator.sendMessage({ to: "alice", body });
  const { port } = new URL(relay.server.url);
  const socket = connect(Number(port), "127.0.0.1");
  socket.write(
    `GET /api/v1/feed HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${alice.runnerToken}\r\n\r\n`,
  );
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
  });
  await until(async () => text.includes("hello"));
  socket.pause();
  await sleep(realClock, 100);
  socket.resume();
  await until(async () => text.includes(`id: 1:${count}\n`));
  const seqs = [...text.matchAll(/id: 1:(\d+)\n/g)].map(([, seq]) => Number(seq));
  expect(seqs).toEqual(Array.from({ length: count + 1 }, (_, i) => i));
  socket.destroy();
});

/** A relay on virtual time, without a network, with the operator as its only agent. */
async function quietRelay() {
  const clock = new VirtualClock(1_800_000_000_000);
  const random = seededRandom(1);
  const store = await openSqliteStore({ path: ":memory:", clock, random });
  const newId = () => uuidV7(clock.now(), random.bytes(10));
  const agentId = asId<AgentId>(newId());
  await store.createOperator(agentId, operatorToken(newId(), "0".repeat(64), agentId), clock.now());
  const seen: AgentId[] = [];
  const relay: Relay = {
    store,
    clock,
    random,
    log: silentLog,
    version: "0.0.0",
    startedAt: clock.now(),
    access: createAccess({ store, clock }),
    hub: createHub({ clock, seen: (agent) => seen.push(agent) }),
    streams: createStreams(clock),
    obligations: { opened() {}, close: async () => {} },
    ...createObservers({ store, clock, log: silentLog }),
  };
  const principal = {
    kind: "operator" as const,
    tokenId: asId<TokenId>(newId()),
    agentId,
    agentName: "operator",
    scopes: scopesOf("operator"),
    grants: undefined,
    agentScopes: [],
    displaced: false,
    profile: undefined,
    features: defaultProfile.features,
    expiresAt: undefined,
    secretHash: "",
  };
  const open = (more: { expiresAt?: number } = {}) =>
    openFeedOf(relay, { ...principal, ...more }, { after: null, signal: new AbortController().signal });
  return { relay, clock, principal, seen, open, [Symbol.asyncDispose]: () => store.close() };
}

test("silence is broken by a comment at once and every feedKeepaliveMs", async () => {
  await using quiet = await quietRelay();
  const reader = quiet.open().body?.getReader();
  const decoder = new TextDecoder();
  const read = async () => decoder.decode((await reader?.read())?.value);
  expect(await read()).toStartWith(":");
  expect(await read()).toContain("hello");
  quiet.clock.advance(limits.feedKeepaliveMs);
  expect(await read()).toStartWith(": ");
});

test("a canary says up to where the inbox has gone through, and brings what a lost wake left behind", async () => {
  await using quiet = await quietRelay();
  const reader = quiet.open().body?.getReader();
  const decoder = new TextDecoder();
  const read = async () => decoder.decode((await reader?.read())?.value);
  expect(await read()).toStartWith(":");
  expect(await read()).toContain("hello");
  // Straight into the store: nobody wakes the feed.
  const { agentId } = quiet.principal;
  const key = asId<never>("k");
  const messageId = asId<never>(uuidV7(1, new Uint8Array(10)));
  const write = { key, messageId, tool: "relay_send_message", arguments: { to: "operator", body: "lost" } };
  const writes = [{ ...write, enqueuedAt: new Date(quiet.clock.now()).toISOString() }];
  const scopes = ["message:send"] as const;
  await quiet.relay.store.applyWrites({ sender: agentId, scopes, writes, keyWindowMs: 1 }, quiet.clock.now());
  const texts: string[] = [];
  const readUntil = async (wanted: string) => {
    while (texts.at(-1)?.includes(wanted) !== true) texts.push(await read());
  };
  quiet.clock.advance(limits.feedCanaryMs - 1);
  quiet.clock.advance(1);
  await readUntil('"alive"');
  const beats = texts.filter((text) => text.startsWith(": "));
  expect(beats).toHaveLength(limits.feedCanaryMs / limits.feedKeepaliveMs);
  expect(texts.at(-2)).toContain('"body":"lost"');
  expect(texts.at(-1)).toBe('id: 1:1\ndata: {"type":"alive","seq":1}\n\n');
});

test("a reader that takes nothing for too long is cut off, and its place is free again", async () => {
  await using quiet = await quietRelay();
  const { body } = quiet.open();
  const text = "x".repeat(limits.messageBodyBytesMax);
  const count = limits.streamBufferBytesMax / limits.messageBodyBytesMax + 1;
  for (let i = 0; i < count; i++) {
    const write = { tool: "relay_send_message", arguments: { to: "operator", body: text }, key: undefined };
    await applyLive(quiet.relay, quiet.principal, write);
  }
  await until(async () => {
    quiet.clock.advance(limits.streamStalledMs);
    return quiet.relay.streams.count === 0;
  });
  expect(quiet.relay.hub.online()).toEqual([]);
  await expect(new Response(body).text()).rejects.toThrow("takes nothing");
});

test("a stream ends with its token, also when that is longer away than a timer reaches", async () => {
  await using quiet = await quietRelay();
  const lifetime = 25 * 24 * 3_600_000;
  quiet.open({ expiresAt: quiet.clock.now() + lifetime });
  quiet.clock.advance(lifetime - 1);
  expect(quiet.relay.streams.count).toBe(1);
  quiet.clock.advance(1);
  expect(quiet.relay.streams.count).toBe(0);
});

test("presence is written down when an agent comes, while it stays, and when it goes", async () => {
  await using quiet = await quietRelay();
  const { body } = quiet.open();
  expect(quiet.seen).toHaveLength(1);
  quiet.clock.advance(2 * limits.presenceMs);
  expect(quiet.seen).toHaveLength(3);
  await body?.cancel();
  expect(quiet.seen).toHaveLength(4);
  quiet.clock.advance(2 * limits.presenceMs);
  expect(quiet.seen).toHaveLength(4);
});
