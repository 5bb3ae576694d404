/** A headless agent's task over crashes: given once, gone on with when it was cut, forgotten when it is done. */
import { describe, expect, test } from "bun:test";
import { goOnText, keepTask, type TaskNote } from "./task.ts";

function open(task: string | undefined, saved?: TaskNote) {
  const given: { id: string; text: string; given: boolean }[] = [];
  const notes: TaskNote[] = [];
  let ids = 0;
  const keeper = keepTask({
    ...{ task, saved },
    newId: () => `id-${++ids}-${notes.length}`,
    give(text) {
      const one = { ...text, given: true };
      given.push(one);
      return () => {
        one.given = false;
      };
    },
    changed: (note) => void notes.push(note),
  });
  keeper.begin();
  return {
    keeper,
    texts: () => given.map(({ text }) => text),
    given,
    last: () => notes.at(-1),
    taken: () => keeper.onEvent({ type: "taken", injection: given.at(-1)?.id ?? "" }),
    ended: (how: string, injections?: string[]) =>
      keeper.onEvent({ type: "turn-ended", turn: { how, injections } }),
  };
}

test("a new one is given once, and noted without its words before it is given", () => {
  const run = open("build it");
  expect(run.texts()).toEqual(["build it"]);
  expect(run.last()).toEqual({
    digest: expect.stringMatching(/^[0-9a-f]{64}$/),
    id: run.given[0]?.id ?? "",
    stage: "given",
  });
});

describe("a runner that starts again with the same command", () => {
  const after = (act: (run: ReturnType<typeof open>) => void) => {
    const first = open("build it");
    act(first);
    return first.last();
  };
  const cut = () => after((run) => run.taken());

  test("gives it again with the same id when nobody had taken it", () => {
    const saved = after(() => {});
    expect(open("build it", saved).given).toEqual([{ id: saved?.id ?? "", text: "build it", given: true }]);
  });

  test("says to go on when its turn was cut, and so does the next one", () => {
    expect(open("build it", cut()).texts()).toEqual([goOnText]);
    const second = open("build it", cut());
    second.taken();
    expect(open("build it", second.last()).texts()).toEqual([goOnText]);
  });

  test("gives it anew when the conversation in which it was cut is not known any more", () => {
    const second = open("build it", cut());
    second.keeper.onEvent({ type: "forgotten" });
    second.keeper.onEvent({ type: "exited" });
    expect(second.given.map(({ text, given }) => [text, given])).toEqual([
      [goOnText, false],
      ["build it", true],
    ]);
    expect(second.last()?.stage).toBe("given");
  });

  test("says nothing when its turn was over", () => {
    const saved = after((run) => {
      run.taken();
      run.ended("completed", [run.given[0]?.id ?? ""]);
    });
    expect(saved?.stage).toBe("done");
    expect(open("build it", saved).texts()).toEqual([]);
  });

  test("says nothing either when the turn that went on with it was over", () => {
    const second = open("build it", cut());
    second.taken();
    second.ended("completed");
    expect(open("build it", second.last()).texts()).toEqual([]);
  });

  test.each(["failed", "interrupted"])("says to go on after a turn that was %s", (how) => {
    const saved = after((run) => {
      run.taken();
      run.ended(how);
    });
    expect(open("build it", saved).texts()).toEqual([goOnText]);
  });

  test("says to go on without a task on its command line too, and gives another one instead", () => {
    expect(open(undefined, cut()).texts()).toEqual([goOnText]);
    expect(open("paint it", cut()).texts()).toEqual(["paint it"]);
  });
});

test("the end of another turn is not its end", () => {
  const run = open("build it");
  run.ended("completed");
  expect(run.last()?.stage).toBe("given");
  run.taken();
  run.ended("completed", ["another"]);
  expect(run.last()?.stage).toBe("taken");
});

test("a program that crashes and is started again goes on with it; what was still being given is given up", () => {
  const run = open("build it");
  run.keeper.onEvent({ type: "exited" });
  expect(run.given.map(({ text, given }) => [text, given])).toEqual([
    ["build it", false],
    ["build it", true],
  ]);
  run.taken();
  run.keeper.onEvent({ type: "exited" });
  expect(run.texts().at(-1)).toBe(goOnText);
  run.taken();
  run.ended("completed");
  run.keeper.onEvent({ type: "exited" });
  expect(run.given).toHaveLength(3);
});

test("without a task nothing is given, whatever happens", () => {
  const run = open(undefined);
  run.keeper.onEvent({ type: "taken", injection: "x" });
  run.keeper.onEvent({ type: "exited" });
  expect([run.texts(), run.last()]).toEqual([[], undefined]);
});
