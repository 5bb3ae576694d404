/** Which promises the tests cite: `[P2.3]` in a title cites a row, `P2:` at its beginning the promise. Pure. */
import type { Source } from "./facts.ts";

/** One citation and where it stands. */
export type Citation = { id: string; path: string; line: number };

const row = /\[((?:P\d|C)\.\d+)\]/g;

/** Rows cited in texts of test files. */
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
    .filter(({ path }) => path.endsWith(".test.ts") && path !== "test/requirements.test.ts")
    .flatMap(({ path, strings }) => strings.map(({ text, line }) => ({ text, path, line })));
}
