/** Names and messages as last heard. */
import { expect, test } from "bun:test";
import { createDirectory } from "./directory.ts";

const message = (id: string) => ({ id, from: `from ${id}`, threadId: `thread of ${id}` });

test("a name is the agent's that was last heard of under it; one that is gone is unknown", () => {
  const directory = createDirectory(2);
  expect(directory.recipientId("bob")).toBeUndefined();
  directory.setAgents([
    { id: "1", name: "bob" },
    { id: "2", name: "carol" },
  ]);
  expect(directory.recipientId("bob")).toBe("1");
  directory.setAgents([{ id: "3", name: "bob" }]);
  expect([directory.recipientId("bob"), directory.recipientId("carol")]).toEqual(["3", undefined]);
});

test("sender and thread of the last messages are known, older ones are forgotten first", () => {
  const directory = createDirectory(2);
  for (const id of ["a", "b", "c"]) directory.addMessage(message(id));
  expect(directory.parentOf("a")).toBeUndefined();
  expect(directory.parentOf("b")).toMatchObject({ from: "from b", threadId: "thread of b" });
  expect(directory.parentOf("c")).toMatchObject({ from: "from c", threadId: "thread of c" });
});

test("a message heard twice takes one place", () => {
  const directory = createDirectory(2);
  for (const id of ["a", "b", "b", "b"]) directory.addMessage(message(id));
  expect(directory.parentOf("a")).toMatchObject({ from: "from a" });
});

test("a channel is nobody's name: a write to it carries no id of an agent that is called alike", () => {
  const directory = createDirectory(1);
  directory.setAgents([{ id: "id of build", name: "build" }]);
  expect(["build", "#build", "@all"].map((name) => directory.recipientId(name))).toEqual([
    "id of build",
    undefined,
    undefined,
  ]);
});
