/** A transcript as the steps of its turns, for people: what came in, what was said, which tools were used. Pure. */
import { plainText } from "../../wire/message.ts";
import { transcriptEntries } from "./transcript.ts";

export type TurnStep = {
  what: "input" | "words" | "tool" | "failed tool" | "interrupted" | "error";
  text: string;
  /** The turn is complete with these words. */
  ends?: boolean;
};

const textMax = 2_000;

/** The steps of these lines, in order. A tool whose result says so is a failed one. */
export function stepsOf(lines: readonly string[]): TurnStep[] {
  const steps: TurnStep[] = [];
  const tools = new Map<string, TurnStep>();
  for (const entry of lines.flatMap(transcriptEntries)) {
    switch (entry.kind) {
      case "input":
        steps.push({ what: "input", text: shown(entry.text) });
        break;
      case "text":
        steps.push({ what: "words", text: shown(entry.text), ends: entry.ends });
        break;
      case "tool-use": {
        const step: TurnStep = { what: "tool", text: shown(`${entry.name} ${JSON.stringify(entry.input)}`) };
        tools.set(entry.id, step);
        steps.push(step);
        break;
      }
      case "tool-result": {
        const step = tools.get(entry.id);
        if (step !== undefined && entry.failed) step.what = "failed tool";
        tools.delete(entry.id);
        break;
      }
      case "interrupted":
        steps.push({ what: "interrupted", text: "the person stopped the turn" });
        break;
      case "error":
        steps.push({ what: "error", text: shown(entry.text) });
    }
  }
  return steps;
}

const marks: Record<TurnStep["what"], string> = {
  input: ">",
  words: "•",
  tool: "$",
  "failed tool": "✗",
  interrupted: "!",
  error: "!",
};

/** A step as text with a mark before it and its later lines indented. */
export function blocksText({ what, text }: TurnStep): string {
  return `${marks[what]} ${text.trimEnd().split("\n").join("\n  ")}`;
}

/** Nothing in a transcript may move the cursor or colour the terminal of who reads it. */
function shown(text: string): string {
  const plain = plainText(text);
  return plain.length <= textMax ? plain : `${plain.slice(0, textMax)} …[${plain.length - textMax} more]`;
}
