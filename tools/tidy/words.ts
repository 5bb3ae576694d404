/** Words: what files may be called, and texts that may not stand anywhere. */
import type { Finding, Repository } from "./repository.ts";

const emptyNames = ["util", "utils", "helper", "helpers", "manager", "misc", "common", "shared", "stuff"];

/** Endings of the files that are kept here; `tgz` is what packing leaves, which git ignores. */
const keptKinds = ["ts", "md", "json", "sql", "sh", "pem", "key", "yml", "tgz"];

/** A text that may not occur. `places` are the only files where it may. */
type Ban = { readonly text: RegExp; readonly why: string; readonly places?: RegExp };

// The patterns are spelled so that they do not match themselves.
const bans: readonly Ban[] = [
  { text: /\bTO[D]O\b|\bFIX[M]E\b|\bXX[X]\b/, why: "unfinished work: finish it or write it down elsewhere" },
  { text: /@ts-(?:ignor[e]|expect-erro[r]|nochec[k])/, why: "silences the compiler" },
  { text: /biome-ignor[e](?!\s+\S+: \S)/, why: "silences the linter without a reason" },
  {
    text: /\b(?:test|it|describe)\.(?:ski[p]|onl[y]|tod[o]|skipI[f]|todoI[f]|failin[g]|i[f])\b/,
    why: "leaves tests out: needs(…) is the only way, and it says why",
    places: /^test\/needs(?:\.test)?\.ts$/,
  },
  {
    text: /\bmock\.modul[e]\b|\b(?:vi|jest)\.(?:moc[k]|f[n])\b/,
    why: "replaces a module: pass the thing in instead",
  },
  {
    text: /(?<![\w.])\/(?:(?:home|Users)\/(?!(?:ada|alice|bob)\b)|(?:work|root)\/)\w/,
    why: "a path of somebody's machine",
  },
  { text: /\bDESIG[N]\b(?!\.md)|\bresearc[h]\/\w/, why: "refers to a text that is not in this repository" },
  { text: /\bnpx agent-rela[y](?!d)/, why: "that npm name belongs to another project" },
];

/** Files are named for a thing of the glossary, in kebab-case. */
export function checkFileNames({ paths }: Repository): Finding[] {
  return [...paths]
    .filter((path) => /^(?:src|test|tools|bench|examples)\//.test(path))
    .flatMap((path) => {
      const name = path.split("/").at(-1) ?? "";
      const stem = name.split(".")[0] ?? "";
      if (emptyNames.some((word) => stem.split("-").includes(word)))
        return [{ path, line: 1, what: `the name ${name} says nothing: name the thing` }];
      if (/\.ts$/.test(name) && !/^[a-z0-9]+(?:[-.][a-z0-9]+)*\.ts$/.test(name))
        return [{ path, line: 1, what: `the name ${name} is not kebab-case` }];
      return [];
    });
}

/** Nothing that the table of bans names stands in a source or a document. */
export function checkWords({ sources, documents }: Repository): Finding[] {
  return [...sources, ...documents].flatMap(({ path, text }) =>
    text
      .split("\n")
      .flatMap((content, index) =>
        bans
          .filter((ban) => ban.text.test(content) && ban.places?.test(path) !== true)
          .map(({ why }) => ({ path, line: index + 1, what: `${content.trim().slice(0, 80)}: ${why}` })),
      ),
  );
}

/** What a tool has left behind, such as a profile or a log, is not kept. */
export function checkFileKinds({ paths }: Repository): Finding[] {
  return [...paths].flatMap((path) => {
    const kind = /[^/]\.([^./]+)$/.exec(path)?.[1];
    if (kind === undefined || keptKinds.includes(kind)) return [];
    return [{ path, line: 1, what: `is a .${kind} file: kept are ${keptKinds.join(", ")}` }];
  });
}
