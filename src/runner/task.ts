/**
 * The task that a headless agent was started with. It is given once: whoever starts the same command again after a crash
 * gives it no second time. When its turn was cut, the conversation that goes on is told to go on with it.
 */
import { createHash } from "node:crypto";

/** What is kept of a task on disk: which one it is, the id it was given with, and how far it has come. */
export type TaskNote = { digest: string; id: string; stage: "given" | "taken" | "done" };

export type TaskOptions = {
  /** As it was given to this runner. */
  task: string | undefined;
  /** Of the conversation that goes on. */
  saved: TaskNote | undefined;
  newId(): string;
  /** Gives a text to the model as soon as it takes texts; the returned function gives up trying. */
  give(text: { id: string; text: string }): () => void;
  /** To be written down. */
  changed(note: TaskNote): void;
};

/** What a session tells, as far as it matters here (`SessionEvent`). */
export type TaskEvent = {
  type: string;
  injection?: string;
  turn?: { how: string; injections?: readonly string[] | undefined };
};

export type TaskKeeper = {
  /** Gives what there is to give. */
  begin(): void;
  onEvent(event: TaskEvent): void;
};

/** What the model reads instead of a task that it has already. */
export const goOnText =
  "Agent Relay: this session was ended in the middle of its task by a crash, and goes on now. What was done before stands above; calls without a result may have taken effect. Go on with what is left of the task.";

/** Keeps one task; without any, nothing ever happens. */
export function keepTask({ task, saved, newId, give, changed }: TaskOptions): TaskKeeper {
  let note = noteOf(task, saved, newId);
  /** Texts that stand for the task in the conversation of this run. */
  const ids = new Set<string>(note === undefined ? [] : [note.id]);
  let giveUp = () => {};
  const is = (known: TaskNote, stage: TaskNote["stage"]) => {
    note = { ...known, stage };
    changed(note);
  };

  const begin = () => {
    giveUp();
    const words = note === undefined ? undefined : wordsFor(note, task);
    if (note === undefined || words === undefined) return;
    const id = words === goOnText ? newId() : note.id;
    ids.add(id);
    is(note, note.stage);
    giveUp = give({ id, text: words });
  };
  return {
    begin,
    onEvent({ type, injection = "", turn }) {
      if (note === undefined || note.stage === "done") return;
      if (type === "taken" && ids.has(injection)) is(note, "taken");
      else if (type === "turn-ended" && note.stage === "taken" && isOver(turn, ids)) is(note, "done");
      // In another conversation nothing stands above that could be gone on with.
      else if (type === "forgotten" && note.stage === "taken") is(note, "given");
      else if (type === "exited") begin();
    },
  };
}

/** The task of the conversation that goes on, unless another one is given now. */
function noteOf(
  task: string | undefined,
  saved: TaskNote | undefined,
  newId: () => string,
): TaskNote | undefined {
  if (task === undefined) return saved;
  const digest = createHash("sha256").update(task).digest("hex");
  return saved?.digest === digest ? saved : { digest, id: newId(), stage: "given" };
}

function wordsFor({ stage }: TaskNote, task: string | undefined): string | undefined {
  const words = { given: task, taken: goOnText, done: undefined };
  return words[stage];
}

/** Only a turn that the model itself has ended has dealt with the task. */
function isOver(turn: TaskEvent["turn"], ids: ReadonlySet<string>): boolean {
  if (turn?.how !== "completed") return false;
  return turn.injections === undefined || turn.injections.some((id) => ids.has(id));
}
