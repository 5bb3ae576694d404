/** The law of the repository: every rule that a test checks, by name. A new rule is a row here. */
import { checkDocumentPaths, checkTitles } from "./documents.ts";
import { checkCycles, checkLayers, checkPackages, checkTargets } from "./layers.ts";
import type { Finding, Repository } from "./repository.ts";
import {
  checkAny,
  checkConditionalExpect,
  checkDefaultExports,
  checkFileLength,
  checkFunctionLength,
  checkHeads,
  checkModuleState,
  checkParameters,
} from "./shape.ts";
import { checkFileKinds, checkFileNames, checkWords } from "./words.ts";
import { checkWorld } from "./world.ts";

export const rules = {
  "rooms import only what their row allows": checkLayers,
  "rooms use only the packages of their row": checkPackages,
  "there are no import cycles": checkCycles,
  "imports name files that exist": checkTargets,
  "the world is touched only at its gates": checkWorld,
  "files are short": checkFileLength,
  "functions are short": checkFunctionLength,
  "exported functions take few parameters": checkParameters,
  "files open with what they are for": checkHeads,
  "modules keep no state": checkModuleState,
  "nothing is exported as default": checkDefaultExports,
  "the compiler is never switched off by any": checkAny,
  "no assertion stands under an if": checkConditionalExpect,
  "files are named for things": checkFileNames,
  "nothing is kept that a tool has left": checkFileKinds,
  "banned words do not occur": checkWords,
  "paths in documents exist": checkDocumentPaths,
  "documents have one title": checkTitles,
} as const satisfies Record<string, (repository: Repository) => Finding[]>;

export type RuleName = keyof typeof rules;

/** One line for people. */
export function findingText({ path, line, what }: Finding): string {
  return `${path}:${line} ${what}`;
}
