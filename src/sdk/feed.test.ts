/** Following a feed over broken connections, refusals and silence. */
import { expect, test } from "bun:test";
import { runningRelay } from "../../test/fixtures/running-relay.ts";
import { realClock, sleep, VirtualClock } from "../base/clock.ts";
import { seededRandom } from "../base/random.ts";
import { limits } from "../limits.ts";
import { cursorText, type FeedEvent } from "../wire/feed.ts";
import { type FeedItem, type FeedState, followFeed } from "./feed.ts";

const hello: FeedEvent = { type: "hello", generation: 1, seq: 0, reset: false };
const changed: FeedEvent = { type: "changed", subject: "agents" };

/** A relay's feed endpoint that gives each connection the next of these texts and then hangs up or stays silent. */
function scripted(connections: { text: string; stays?: boolean }[]) {
  const asked: (string | null)[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    fetch(request) {
      asked.push(request.headers.get("last-event-id"));
      const { text, stays } = connections[asked.length - 1] ?? { text: ": \n\n", stays: true };
      const body = new ReadableStream({
        start(controller) {
          controller.enqueue(Buffer.from(text));
          if (stays !== true) controller.close();
        },
      });
      return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    asked,
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

const event = (body: FeedEvent, id?: string) =>
  `${id === undefined ? "" : `id: ${id}\n`}data: ${JSON.stringify(body)}\n\n`;

/** Moves virtual time on in small steps until stopped, so that waits of any length pass quickly. */
function hurry(clock: VirtualClock, stepMs: number): Disposable {
  let stopped = false;
  const run = async () => {
    while (!stopped) {
      await sleep(realClock, 2);
      clock.advance(stepMs);
    }
  };
  const running = run();
  return {
    [Symbol.dispose]() {
      stopped = true;
      running.catch(() => {});
    },
  };
}

async function take(items: AsyncGenerator<FeedItem>, count: number): Promise<FeedItem[]> {
  const taken: FeedItem[] = [];
  while (taken.length < count) {
    const { value, done } = await items.next();
    if (done === true) throw new Error(`The feed ended after ${taken.length} of ${count}`);
    taken.push(value);
  }
  return taken;
}

function follow(url: string, clock: VirtualClock | typeof realClock) {
  const ending = new AbortController();
  const states: FeedState[] = [];
  const items = followFeed({
    url,
    token: () => "t",
    clock,
    random: seededRandom(3),
    signal: ending.signal,
    onState: (state) => states.push(state),
  });
  return { items, states, end: () => ending.abort() };
}

test("a connection that ends is opened again after the last cursor", async () => {
  await using relay = scripted([
    { text: event(hello, "1:0") + event(changed) },
    { text: event({ ...hello, seq: 4 }, "1:4") },
    { text: event(hello, "1:4") },
  ]);
  const clock = new VirtualClock(0);
  using _ = hurry(clock, 100);
  const { items, states, end } = follow(relay.url, clock);
  const taken = await take(items, 4);
  end();
  expect(taken.map(({ cursor }) => cursor && cursorText(cursor))).toEqual(["1:0", "1:0", "1:4", "1:4"]);
  expect(relay.asked).toEqual([null, "1:0", "1:4"]);
  expect(states).toEqual([
    "connecting",
    "open",
    "waiting",
    "connecting",
    "open",
    "waiting",
    "connecting",
    "open",
  ]);
});

test("a stream that is silent for feedSilenceMs is given up and opened again", async () => {
  await using relay = scripted([{ text: event(hello, "1:0"), stays: true }, { text: event(hello, "1:0") }]);
  const clock = new VirtualClock(0);
  const { items, end } = follow(relay.url, clock);
  await take(items, 1);
  const next = take(items, 1);
  await sleep(realClock, 20);
  expect(relay.asked).toHaveLength(1);
  using _ = hurry(clock, limits.feedSilenceMs / 10);
  await next;
  end();
  expect(relay.asked).toEqual([null, "1:0"]);
});

test("a real relay: messages come in order; a revoked token ends the sequence with its error", async () => {
  await using relay = await runningRelay();
  const alice = await relay.enrol("alice");
  const items = followFeed({
    url: relay.server.url,
    token: () => alice.runnerToken,
    clock: realClock,
    random: seededRandom(4),
    signal: new AbortController().signal,
  });
  const bodies: string[] = [];
  for (const body of ["1", "2", "3"]) await relay.operator.sendMessage({ to: "alice", body });
  while (bodies.length < 3) {
    const [item] = await take(items, 1);
    bodies.push(...(item?.event.type === "message" ? [item.event.message.body] : []));
  }
  expect(bodies).toEqual(["1", "2", "3"]);
  const { tokens } = await relay.operator.listTokens({});
  await relay.operator.revokeToken({ id: tokens.find(({ kind }) => kind === "runner")?.id ?? "" });
  const rest = (async () => {
    for await (const _ of items);
  })();
  expect(await rest.catch((error: unknown) => error)).toMatchObject({ code: "token_revoked" });
});

test("a feed that only keeps its connection alive is given up; a canary is not told and moves the cursor", async () => {
  const clock = new VirtualClock(0);
  const asked: (string | null)[] = [];
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  const ending = new AbortController();
  const items = followFeed({
    url: "http://relay",
    token: () => "t",
    clock,
    random: seededRandom(3),
    signal: ending.signal,
    async fetch(_, { headers, signal }) {
      asked.push(new Headers(headers).get("last-event-id"));
      const body = new ReadableStream<Uint8Array>({
        start(opened) {
          controller = opened;
        },
      });
      signal?.addEventListener("abort", () => {
        controller?.error(signal.reason);
        controller = undefined;
      });
      return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
    },
  });
  const say = async (text: string) => {
    controller?.enqueue(Buffer.from(text));
    await sleep(realClock, 1);
  };
  const next = items.next();
  await sleep(realClock, 1);
  await say(event(hello, "1:0"));
  expect((await next).value).toMatchObject({ event: hello });
  void items.next();
  await say(event({ type: "alive", seq: 7 }, "1:7"));
  const began = clock.now();
  while (asked.length === 1 && clock.now() - began < 2 * limits.feedCanarySilenceMs) {
    clock.advance(limits.feedKeepaliveMs);
    await say(": \n\n");
  }
  expect(clock.now() - began).toBeGreaterThanOrEqual(limits.feedCanarySilenceMs);
  expect(asked).toEqual([null, "1:7"]);
  ending.abort();
});
