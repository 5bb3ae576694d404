/** Small enough to see: sizes, heads, state, and what the language allows but this repository does not. */
import type { Mark } from "./facts.ts";
import { isTest } from "./layers.ts";
import type { Finding, Repository } from "./repository.ts";

const fileLinesMax = 400;
const functionLinesMax = 70;
const parametersMax = 3;
const headLinesMax = 7;

/** Tables that may be longer than a file may be. */
const longTables: readonly string[] = ["src/wire/tools.ts", "src/wire/api.ts", "test/requirements.ts"];

/** No file is longer than can be read at once. */
export function checkFileLength({ sources }: Repository): Finding[] {
  return sources
    .filter(({ path }) => !longTables.includes(path))
    .map(({ path, text }) => ({ path, count: text.trimEnd().split("\n").length }))
    .filter(({ count }) => count > fileLinesMax)
    .map(({ path, count }) => ({
      path,
      line: count,
      what: `${count} lines: at most ${fileLinesMax} are allowed`,
    }));
}

/** No function is longer than a page. A list of tests (the argument of `describe`) is not a function. */
export function checkFunctionLength({ sources }: Repository): Finding[] {
  return sources.flatMap(({ path, functions }) =>
    functions
      .filter(({ lines, list }) => lines > functionLinesMax && !list)
      .map(({ name, line, lines }) => ({
        path,
        line,
        what: `${name} has ${lines} lines: at most ${functionLinesMax} are allowed`,
      })),
  );
}

/** Exported functions take few positional parameters; more go into one object with names. */
export function checkParameters({ sources }: Repository): Finding[] {
  return sources.flatMap(({ path, functions }) =>
    functions
      .filter(({ exported, parameters }) => exported && parameters > parametersMax)
      .map(({ name, line, parameters }) => ({
        path,
        line,
        what: `${name} has ${parameters} positional parameters: at most ${parametersMax} are allowed`,
      })),
  );
}

/** Every file opens with a comment that says what it is for. */
export function checkHeads({ sources }: Repository): Finding[] {
  return sources.flatMap(({ path, text }) => {
    const head = /^(?:#!.*\n)?\/\*\*[\s\S]*?\*\//.exec(text)?.[0];
    if (head === undefined)
      return [{ path, line: 1, what: "does not open with a /** comment that says what it is for" }];
    const count = head.split("\n").length;
    return count > headLinesMax
      ? [{ path, line: 1, what: `opens with ${count} lines of comment: at most ${headLinesMax}` }]
      : [];
  });
}

/** Importing a file does nothing and keeps nothing. A worker is a program of its own and may keep its state. */
export function checkModuleState({ sources }: Repository): Finding[] {
  return marked(
    sources.filter(({ path }) => path.startsWith("src/") && !isTest(path) && !path.endsWith(".worker.ts")),
    {
      "module-variable": "a variable of the module: state belongs to an object that somebody closes",
      "module-collection": "an empty collection of the module: it can only be there to be filled",
    },
  );
}

/** One name per thing: no default exports. A declaration file describes what a loader gives, which may be one. */
export function checkDefaultExports({ sources }: Repository): Finding[] {
  const ours = sources.filter(({ path }) => !path.endsWith(".d.ts"));
  return marked(ours, { "default-export": "a default export: export it by name" });
}

/** `any` switches the compiler off. */
export function checkAny({ sources }: Repository): Finding[] {
  return marked(sources, { any: "any: use unknown and parse it" });
}

/** An assertion under an `if` is a hole: it may never run. */
export function checkConditionalExpect({ sources }: Repository): Finding[] {
  return marked(sources, { "expect-under-if": "an expect under an if: it may never run" });
}

function marked(sources: Repository["sources"], wanted: Partial<Record<Mark["kind"], string>>): Finding[] {
  return sources.flatMap(({ path, marks }) =>
    marks.flatMap(({ kind, line }) => {
      const what = wanted[kind];
      return what === undefined ? [] : [{ path, line, what }];
    }),
  );
}
