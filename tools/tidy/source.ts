/**
 * Source files as the rules see them: text and facts from the compiler's own parser. The parser is given the texts,
 * not the disk, so a rule can be tried on a file that does not exist.
 */
import { API } from "typescript/unstable/async";
import { createVirtualFileSystem } from "typescript/unstable/fs";
import { factsOf, type Source } from "./facts.ts";

const root = "/tidy";

/**
 * Parses files that need not exist.
 * @param files text by path; paths are relative to the repository
 */
export async function parseSources(files: Readonly<Record<string, string>>): Promise<Source[]> {
  const paths = Object.keys(files).filter((path) => path.endsWith(".ts"));
  if (paths.length === 0) return [];
  const config = { compilerOptions: { noLib: true, noResolve: true, types: [] }, files: paths };
  const disk: Record<string, string> = { [`${root}/tsconfig.json`]: JSON.stringify(config) };
  for (const path of paths) disk[`${root}/${path}`] = files[path] ?? "";
  const api = new API({ cwd: root, fs: createVirtualFileSystem(disk) });
  try {
    const snapshot = await api.updateSnapshot({ openProjects: [`${root}/tsconfig.json`] });
    const program = snapshot.getProjects()[0]?.program;
    if (program === undefined) throw new Error("Parse sources: the compiler opened no project");
    const sources: Source[] = [];
    for (const path of paths) {
      const tree = await program.getSourceFile(`${root}/${path}`);
      if (tree === undefined) throw new Error(`Parse ${path}: the compiler did not return it`);
      sources.push({ path, text: tree.text, ...factsOf(tree) });
    }
    return sources;
  } finally {
    await api.close();
  }
}
