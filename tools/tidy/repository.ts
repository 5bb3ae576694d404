/** Reads the repository for the rules: every source, every document, every path. Nothing that npm or git made. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { Source } from "./facts.ts";
import { parseSources } from "./source.ts";

/** A text that people read: Markdown. */
export type Document = { path: string; text: string };
/** What the rules look at. */
export type Repository = {
  sources: readonly Source[];
  documents: readonly Document[];
  /** Every file and folder, relative to the root, folders without a slash at the end. */
  paths: ReadonlySet<string>;
};
/** A place that breaks a rule, and how. */
export type Finding = { path: string; line: number; what: string };

/** The folder that holds package.json. */
export const repositoryRoot: string = resolve(import.meta.dir, "../..");

const skipped = new Set([".git", "node_modules", "dist", ".tmp", ".agent-relay"]);

/** The repository on disk. */
export function readRepository(root: string): Promise<Repository> {
  const files: Record<string, string> = {};
  const paths = listFiles(root, "");
  for (const path of paths)
    if (/\.(?:ts|md)$/.test(path)) files[path] = readFileSync(join(root, path), "utf8");
  return repositoryOf(files, paths);
}

/**
 * A repository made of texts.
 * @param files text by path
 * @param others paths whose text does not matter
 */
export async function repositoryOf(
  files: Readonly<Record<string, string>>,
  others: readonly string[] = [],
): Promise<Repository> {
  const paths = new Set<string>();
  for (const file of [...Object.keys(files), ...others])
    for (let path = file; path !== "."; path = dirname(path)) paths.add(path);
  const documents = Object.entries(files)
    .filter(([path]) => path.endsWith(".md"))
    .map(([path, text]) => ({ path, text }));
  return { sources: await parseSources(files), documents, paths };
}

function listFiles(root: string, folder: string): string[] {
  const found: string[] = [];
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (skipped.has(entry.name)) continue;
    if (entry.isDirectory()) found.push(...listFiles(root, path));
    else found.push(path);
  }
  return found.sort();
}
