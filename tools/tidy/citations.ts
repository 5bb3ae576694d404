/** Which promises the tests cite: `[P2.3]` in a title cites a row, `P2:` at its beginning the promise. Pure. */
import type { Source } from "./facts.ts";
import { isTest } from "./layers.ts";

/** One citation and where it stands. */
export type Citation = { id: string; path: string; line: number };

const row = /\[((?:P\d|C)\.\d+)\]/g;

/** Files of test/ that state promises or are read by rules, and prove none of them. */
const noProof = /^test\/(?:requirements\.ts|requirements\.test\.ts|fixtures\/)/;

/** Rows cited in texts of files that hold tests: `*.test.ts`, and what they take their tests from, in test/. */
export function citedRows(sources: readonly Source[]): Citation[] {
  return texts(sources).flatMap(({ text, path, line }) =>
    [...text.matchAll(row)].map(([, id = ""]) => ({ id, path, line })),
  );
}

/** Promises named at the beginning of texts of test files: `P2: …`. */
export function citedPromises(sources: readonly Source[]): Citation[] {
  return texts(sources).flatMap(({ text, path, line }) => {
    const id = /^(P\d|C):/.exec(text)?.[1];
    return id === undefined ? [] : [{ id, path, line }];
  });
}

function texts(sources: readonly Source[]) {
  return sources
    .filter(({ path }) => isTest(path) && !noProof.test(path))
    .flatMap(({ path, strings }) => strings.map(({ text, line }) => ({ text, path, line })));
}
