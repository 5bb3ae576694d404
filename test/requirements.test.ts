/** Every promise that is kept is cited by a test, every citation names a promise, and nothing planned is claimed. */
import { beforeAll, describe, expect, test } from "bun:test";
import { type Citation, citedPromises, citedRows } from "../tools/tidy/citations.ts";
import { readRepository, repositoryOf, repositoryRoot } from "../tools/tidy/repository.ts";
import { promises, requirements } from "./requirements.ts";

const known = new Set<string>(requirements.map(({ id }) => id));
const place = ({ id, path, line }: Citation) => `${id} in ${path}:${line}`;

describe("the table of promises", () => {
  test("has each id once", () => {
    expect(known.size).toBe(requirements.length);
  });

  test("has rows for every promise", () => {
    const covered = new Set(requirements.map(({ id }) => id.split(".")[0]));
    expect(Object.keys(promises).filter((id) => !covered.has(id))).toEqual([]);
  });
});

describe("the citations", () => {
  let rows: Citation[];
  let whole: Citation[];
  beforeAll(async () => {
    const { sources } = await readRepository(repositoryRoot);
    rows = citedRows(sources);
    whole = citedPromises(sources);
  });

  test("cover every kept row", () => {
    const cited = new Set(rows.map(({ id }) => id));
    const uncited = requirements.filter(({ id, status }) => status === "kept" && !cited.has(id));
    expect(uncited.map(({ id, text }) => `${id} ${text}`)).toEqual([]);
  });

  test("name rows and promises that exist", () => {
    expect(rows.filter(({ id }) => !known.has(id)).map(place)).toEqual([]);
    expect(whole.filter(({ id }) => !Object.hasOwn(promises, id)).map(place)).toEqual([]);
  });

  test("claim nothing that is planned", () => {
    const later = new Set<string>(
      requirements.filter(({ status }) => status === "planned").map(({ id }) => id),
    );
    expect(rows.filter(({ id }) => later.has(id)).map(place)).toEqual([]);
    const kept = new Set(
      requirements.filter(({ status }) => status === "kept").map(({ id }) => id.split(".")[0]),
    );
    expect(whole.filter(({ id }) => !kept.has(id)).map(place)).toEqual([]);
  });
});

describe("reading citations", () => {
  test("finds rows and promises in titles of tests and nowhere else", async () => {
    const { sources } = await repositoryOf({
      "src/a.test.ts": 'test("P2: [P2.3] [P2.4] once", () => {}); // [P2.5]\ntest(`[C.1] text`, () => {});',
      "src/a.ts": 'export const text = "[P2.6]";',
      "test/conformance/a.ts": 'export const tests = () => test("[P2.7] kept", () => {});',
      "test/fixtures/a.ts": 'export const text = "[P2.8]";',
    });
    expect(citedRows(sources).map(({ id }) => id)).toEqual(["P2.3", "P2.4", "C.1", "P2.7"]);
    expect(citedPromises(sources)).toEqual([{ id: "P2", path: "src/a.test.ts", line: 1 }]);
  });
});
