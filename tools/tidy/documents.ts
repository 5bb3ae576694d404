/** Documents that no test reads will lie: every path they name exists, every document has one title. */
import { posix } from "node:path";
import { rooms } from "./layers.ts";
import type { Document, Finding, Repository } from "./repository.ts";

const top = /^(?:src|test|tools|docs|bench|examples|bin|web|plugins|\.ci|\.github)(?:\/|$)/;
const topFiles = /^[A-Z][A-Z-]*(?:\.md)?$|^(?:package|package-lock|tsconfig|biome)\.json$/;
const knownTopFiles =
  /^(?:README|ARCHITECTURE|AGENTS|CLAUDE|CONTRIBUTING|REVIEW|CHANGELOG|SECURITY)\.md$|^LICENSE$|\.json$/;

/** Every path in backticks or in a link of a document names something that exists. */
export function checkDocumentPaths({ documents, paths }: Repository): Finding[] {
  return documents.flatMap((document) =>
    namedPaths(document)
      .filter(({ candidates }) => !candidates.some((path) => exists(path, paths)))
      .map(({ named, line }) => ({
        path: document.path,
        line,
        what: `names ${named}, which does not exist`,
      })),
  );
}

/** Every document has exactly one title, on its first line. A skill begins with its head. */
export function checkTitles({ documents }: Repository): Finding[] {
  return documents
    .filter(({ path }) => path !== "CLAUDE.md" && !path.endsWith("/SKILL.md"))
    .flatMap(({ path, text }) => {
      const titles = withoutFences(text).filter(({ content }) => content.startsWith("# "));
      if (titles.length === 1 && titles[0]?.line === 1) return [];
      return [
        {
          path,
          line: titles[1]?.line ?? 1,
          what: `has ${titles.length} titles: one, on the first line, was wanted`,
        },
      ];
    });
}

/** Names of MCP methods that look like paths. */
const mcpMethods = /^tools\/(?:call|list)$/;

type Named = { named: string; line: number; candidates: string[] };

function namedPaths({ path, text }: Document): Named[] {
  const folder = posix.dirname(path);
  return withoutFences(text).flatMap(({ content, line }) => [
    ...[...content.matchAll(/`([^`\s]+)`/g)].flatMap(([, named = ""]) => {
      const clean = named.replace(/[:#].*$/, "").replace(/\/$/, "");
      const candidates = candidatesOf(clean, folder);
      return candidates.length === 0 ? [] : [{ named, line, candidates }];
    }),
    ...[...content.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, target = ""]) => {
      if (/^(?:[a-z]+:|#)/.test(target)) return [];
      return [{ named: target, line, candidates: [posix.join(folder, target.replace(/#.*$/, ""))] }];
    }),
  ]);
}

/** Where a text in backticks may point; empty when it does not look like a path of ours. */
function candidatesOf(text: string, folder: string): string[] {
  if (/[<>$()=…]/.test(text) || mcpMethods.test(text)) return [];
  if (top.test(text) && text.includes("/")) return [text];
  if (topFiles.test(text) && knownTopFiles.test(text)) return [text];
  const room = text.split("/")[0] ?? "";
  if (text.includes("/") && Object.hasOwn(rooms, room)) return [`src/${text}`, posix.join(folder, text)];
  if (/^[a-z][\w.-]*\.(?:ts|md|sql)$/.test(text)) return [posix.join(folder, text), `src/${text}`];
  return [];
}

function exists(path: string, paths: ReadonlySet<string>): boolean {
  if (!/[*{]/.test(path)) return paths.has(path);
  const pattern = new Bun.Glob(path);
  return [...paths].some((one) => pattern.match(one));
}

function withoutFences(text: string): { content: string; line: number }[] {
  let inside = false;
  return text.split("\n").flatMap((content, index) => {
    const fence = /^\s*(?:```|~~~)/.test(content);
    if (fence) inside = !inside;
    return inside || fence ? [] : [{ content, line: index + 1 }];
  });
}
