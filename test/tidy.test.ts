/**
 * The law as tests. Every rule is tried on the repository, which must be clean, and on small files that break it,
 * which must be caught: a rule that catches nothing proves nothing.
 */
import { beforeAll, describe, expect, test } from "bun:test";
import { type Repository, readRepository, repositoryOf, repositoryRoot } from "../tools/tidy/repository.ts";
import { findingText, type RuleName, rules } from "../tools/tidy/rules.ts";
import { type Files, tidyFixtures } from "./fixtures/tidy.ts";

const names = Object.keys(rules) as RuleName[];

/** The small repositories of one sort, each with a short name. */
function cases(sort: "broken" | "fine"): { name: RuleName; label: string; files: Files }[] {
  return names.flatMap((name) =>
    tidyFixtures[name][sort].map((files, index) => ({ name, label: `${name}, ${index + 1}`, files })),
  );
}

describe("the repository", () => {
  let repository: Repository;
  beforeAll(async () => {
    repository = await readRepository(repositoryRoot);
  }, 60_000);

  test("is read whole", () => {
    expect(repository.sources.map(({ path }) => path)).toContain("src/limits.ts");
    expect(repository.documents.map(({ path }) => path)).toContain("README.md");
    expect(repository.paths.has("src/wire")).toBe(true);
  });

  test.each(names)("tidy: %s", (name) => {
    expect(rules[name](repository).map(findingText)).toEqual([]);
  });
});

describe("a rule", () => {
  test.each(cases("broken"))("catches a break of: $label", async ({ name, files }) => {
    expect(rules[name](await repositoryOf(files))).not.toEqual([]);
  });

  test.each(cases("fine"))("lets pass what keeps: $label", async ({ name, files }) => {
    expect(rules[name](await repositoryOf(files)).map(findingText)).toEqual([]);
  });
});
