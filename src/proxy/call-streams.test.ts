/** Answers that an agent takes up again after its connection broke: in order, once, and only by their own session. */
import { describe, expect, test } from "bun:test";
import { type TestAsker, testAsker } from "../../test/fixtures/upstreams/asker.ts";
import { VirtualClock } from "../base/clock.ts";
import { type Limits, limits } from "../limits.ts";
import { type Asking, type CallStreams, createCallStreams } from "./call-streams.ts";

const call = (asker: TestAsker): Asking => ({
  era: { name: "legacy" },
  message: { id: '"a-1"', method: "tools/call" },
  session: { uid: "mine", facts: { uid: "mine", version: "2025-11-25", capabilities: {} } },
  asker,
});
const ofVersion = (version: string) => ({ uid: "mine", facts: { uid: "mine", version, capabilities: {} } });

function book(boot = "0b", changed: Partial<Limits> = {}) {
  const clock = new VirtualClock(0);
  return { clock, streams: createCallStreams({ clock, limits: { ...limits, ...changed } }, boot) };
}

/** The events of a whole stream, as id and data. */
function events(asker: TestAsker): string[][] {
  return asker
    .text()
    .split("\n\n")
    .flatMap((block) => {
      const line = (name: string) => new RegExp(`^${name}: ?(.*)$`, "m").exec(block)?.[1];
      return line("data") === undefined ? [] : [[line("id") ?? "", line("data") ?? ""]];
    });
}

/** Opens the stream of a call, whose agent has read the priming event. */
function opened(streams: CallStreams, more: Partial<Asking> = {}) {
  const asker = testAsker();
  const stream = streams.open({ ...call(asker), ...more });
  return { asker, stream, id: /^id: (.+)$/m.exec(asker.text())?.[1] ?? "" };
}

/** What an agent gets that comes back with this id; undefined when the id is none of ours. */
function resumed(streams: CallStreams, uid: string, id: string): TestAsker | undefined {
  const asker = testAsker();
  return streams.resume(uid, id, asker) ? asker : undefined;
}

describe("a call's stream", () => {
  test("begins with an id and no data, and numbers what follows", () => {
    const { asker, stream } = opened(book().streams);
    stream.message("one");
    stream.close();
    expect(asker.text()).toContain(`retry: ${limits.streamRetryMs}\n`);
    const [first = [], second = []] = events(asker);
    expect([first[1], second[1]]).toEqual(["", "one"]);
    expect(second[0]).toBe(first[0]?.replace(/0$/, "1") ?? "");
  });

  test.each<[string, Partial<Asking>]>([
    ["an older version", { session: ofVersion("2025-06-18") }],
    ["the modern era", { era: { name: "modern" } }],
    ["a client without a session", { session: { uid: "stateless", facts: undefined } }],
  ])("has no ids for %s", (_name, more) => {
    const { asker, stream } = opened(book().streams, more);
    stream.message("one");
    stream.close();
    expect(events(asker)).toEqual([["", "one"]]);
  });

  test("P1: goes on where it broke, and ends with the answer", () => {
    const { streams } = book();
    const { asker, stream, id } = opened(streams);
    asker.lose();
    expect(stream.message("while away")).toBe(false);
    const back = resumed(streams, "mine", id);
    expect(stream.message("the answer")).toBe(true);
    stream.close();
    expect(back && events(back).map(([, data]) => data)).toEqual(["while away", "the answer"]);
    const again = resumed(streams, "mine", id.replace(/0$/, "1"));
    expect(again && events(again).map(([, data]) => data)).toEqual(["the answer"]);
  });
});

describe("an id that leads nowhere", () => {
  const lost = (streams: CallStreams, uid: string, id: string) => {
    const asker = resumed(streams, uid, id);
    const [[, data = ""] = []] = asker === undefined ? [] : events(asker);
    return JSON.parse(data);
  };

  test("of an earlier run is answered with an outcome that is not known", () => {
    const answer = lost(book("0b").streams, "mine", opened(book("0a").streams).id);
    expect(answer).toMatchObject({ id: "a-1", result: { isError: true } });
    expect(answer.result.content[0].text).toContain("Whether it ran: unknown");
  });

  test("of another session's call gives nothing of that call", () => {
    const { streams } = book();
    const { stream, id } = opened(streams);
    stream.message("a secret");
    stream.close();
    expect(JSON.stringify(lost(streams, "other", id))).not.toContain("a secret");
  });

  test("is answered the same when the call is not kept any more", () => {
    const { clock, streams } = book();
    const { stream, id } = opened(streams, { message: { id: "7", method: "prompts/get" } });
    stream.close();
    clock.advance(limits.resumeCallMs);
    expect(lost(streams, "mine", id)).toMatchObject({ id: 7, error: { code: -32_603 } });
  });

  test.each(["", "0b:1", "0b:5:", "x".repeat(100), "0a:1:te30:0", "0a:1:tW10:0", "0a:1:tIg:0"])(
    "'%s' is not taken for a call's",
    (id) => {
      expect(resumed(book().streams, "mine", id)).toBeUndefined();
    },
  );
});

test("at most so many calls are kept, ended ones going first", () => {
  const { streams } = book("0b", { resumeCallsMax: 2 });
  const open = opened(streams);
  const ended = opened(streams);
  ended.stream.close();
  opened(streams);
  open.stream.message("still here");
  open.stream.close();
  const kept = resumed(streams, "mine", open.id);
  expect(kept && events(kept).map(([, data]) => data)).toEqual(["still here"]);
  const gone = resumed(streams, "mine", ended.id);
  expect(gone && events(gone)[0]?.[1]).toContain("is not kept any more");
});
