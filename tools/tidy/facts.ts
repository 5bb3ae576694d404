/**
 * From one syntax tree to the facts that the rules look at: imports, functions, uses of globals, texts, marks.
 */
import type { Node, SourceFile } from "typescript/unstable/ast";
import {
  isArrayBindingPattern,
  isBlock,
  isCallExpression,
  isExportAssignment,
  isExportDeclaration,
  isIdentifier,
  isIfStatement,
  isImportDeclaration,
  isNamedImports,
  isNewExpression,
  isObjectBindingPattern,
  isPropertyAccessExpression,
  isStringLiteral,
  isVariableDeclaration,
  isVariableDeclarationList,
  isVariableStatement,
  NodeFlags,
  SyntaxKind,
} from "typescript/unstable/ast";

/** One import or re-export. `names` holds what is imported by name. */
export type Import = { specifier: string; line: number; typeOnly: boolean; names: string[] };
/** One function with a body. */
export type FunctionFact = {
  name: string;
  line: number;
  lines: number;
  parameters: number;
  exported: boolean;
  /** An argument of `describe`: a list of tests rather than a function. */
  list: boolean;
};
/** A global as it is written, for example `process.env`, `Date.now`, `new Date()`, `setTimeout`. */
export type Use = { text: string; line: number };
/** Something a rule may forbid as such. */
export type Mark = {
  kind: "any" | "default-export" | "module-variable" | "module-collection" | "expect-under-if";
  line: number;
};
/** What the rules know about one TypeScript file. */
export type Source = {
  path: string;
  text: string;
  imports: Import[];
  functions: FunctionFact[];
  uses: Use[];
  /** String literals without their quotes; of templates the part before the first placeholder. */
  strings: Use[];
  marks: Mark[];
};

type Facts = Omit<Source, "path" | "text">;
type At = { node: Node; line: number; tree: SourceFile; facts: Facts };

/** Reads all facts of a file. */
export function factsOf(tree: SourceFile): Facts {
  const facts: Facts = { imports: [], functions: [], uses: [], strings: [], marks: [] };
  const starts = lineStarts(tree.text);
  const visit = (node: Node) => {
    const at = { node, line: lineOf(starts, node.getStart(tree)), tree, facts };
    for (const read of readers) read(at, starts);
    node.forEachChild((child) => {
      visit(child);
      return undefined;
    });
  };
  visit(tree);
  return facts;
}

const readers: readonly ((at: At, starts: readonly number[]) => void)[] = [
  readImport,
  readFunction,
  readUse,
  readString,
  readMark,
];

function readImport({ node, line, facts }: At): void {
  if (isImportDeclaration(node) && isStringLiteral(node.moduleSpecifier)) {
    const clause = node.importClause;
    const bindings = clause?.namedBindings;
    const elements = bindings !== undefined && isNamedImports(bindings) ? [...bindings.elements] : [];
    const typeOnly =
      clause?.phaseModifier === SyntaxKind.TypeKeyword ||
      (elements.length > 0 && clause?.name === undefined && elements.every((element) => element.isTypeOnly));
    const names = elements.map((element) => (element.propertyName ?? element.name).text);
    facts.imports.push({ specifier: node.moduleSpecifier.text, line, typeOnly, names });
  } else if (isExportDeclaration(node) && node.moduleSpecifier !== undefined) {
    if (isStringLiteral(node.moduleSpecifier))
      facts.imports.push({
        specifier: node.moduleSpecifier.text,
        line,
        typeOnly: node.isTypeOnly,
        names: [],
      });
  } else if (isCallExpression(node) && node.expression.kind === SyntaxKind.ImportKeyword) {
    const [specifier] = node.arguments;
    if (specifier !== undefined && isStringLiteral(specifier))
      facts.imports.push({ specifier: specifier.text, line, typeOnly: false, names: [] });
  }
}

const functionKinds = new Set<SyntaxKind>([
  SyntaxKind.FunctionDeclaration,
  SyntaxKind.FunctionExpression,
  SyntaxKind.ArrowFunction,
  SyntaxKind.MethodDeclaration,
  SyntaxKind.Constructor,
  SyntaxKind.GetAccessor,
  SyntaxKind.SetAccessor,
]);

function readFunction({ node, line, tree, facts }: At, starts: readonly number[]): void {
  if (!functionKinds.has(node.kind)) return;
  const shape = node as Node & {
    body?: Node;
    name?: Node & { text?: string };
    parameters?: readonly { readonly name: Node }[];
  };
  if (shape.body === undefined) return;
  const holder = node.parent;
  const variable = holder !== undefined && isVariableDeclaration(holder) ? holder : undefined;
  const name = shape.name?.text ?? (variable?.name as { text?: string } | undefined)?.text ?? "(unnamed)";
  const parameters = (shape.parameters ?? []).filter(
    ({ name }) =>
      !isObjectBindingPattern(name) && !isArrayBindingPattern(name) && name.getText(tree) !== "this",
  );
  facts.functions.push({
    name,
    line,
    lines: lineOf(starts, node.end) - line + 1,
    parameters: parameters.length,
    exported: isExported(variable?.parent?.parent ?? node),
    list: holder !== undefined && isCallExpression(holder) && /^describe\b/.test(holder.getText(tree)),
  });
}

function isExported(node: Node): boolean {
  const modifiers = (node as { modifiers?: readonly Node[] }).modifiers ?? [];
  return [...modifiers].some(({ kind }) => kind === SyntaxKind.ExportKeyword);
}

const called = new Set(["setTimeout", "setInterval", "fetch", "eval", "require"]);

function readUse({ node, line, tree, facts }: At): void {
  if (isPropertyAccessExpression(node) && isIdentifier(node.expression))
    facts.uses.push({ text: `${node.expression.text}.${node.name.text}`, line });
  else if (isPropertyAccessExpression(node) && node.expression.getText(tree) === "import.meta")
    facts.uses.push({ text: `import.meta.${node.name.text}`, line });
  else if (isCallExpression(node) && isIdentifier(node.expression) && called.has(node.expression.text))
    facts.uses.push({ text: node.expression.text, line });
  else if (isNewExpression(node) && isIdentifier(node.expression))
    facts.uses.push({ text: `new ${node.expression.text}(${node.arguments?.length ? "…" : ""})`, line });
  else if (isVariableDeclaration(node) && isObjectBindingPattern(node.name) && node.initializer !== undefined)
    // `const { env } = process` is a use of `process.env`.
    for (const element of node.name.elements) {
      const member = (
        (element as { propertyName?: Node }).propertyName ?? (element as { name?: Node }).name
      )?.getText(tree);
      if (isIdentifier(node.initializer))
        facts.uses.push({ text: `${node.initializer.text}.${member}`, line });
    }
}

function readString({ node, line, facts }: At): void {
  const kinds: readonly SyntaxKind[] = [
    SyntaxKind.StringLiteral,
    SyntaxKind.NoSubstitutionTemplateLiteral,
    SyntaxKind.TemplateHead,
  ];
  if (kinds.includes(node.kind)) facts.strings.push({ text: (node as Node & { text: string }).text, line });
}

function readMark({ node, line, facts, tree }: At): void {
  const mark = (kind: Mark["kind"]) => facts.marks.push({ kind, line });
  if (node.kind === SyntaxKind.AnyKeyword) mark("any");
  else if (isExportAssignment(node) || isDefault(node)) mark("default-export");
  else if (isVariableStatement(node) && node.parent?.kind === SyntaxKind.SourceFile)
    readModuleState(node, mark);
  else if (isIfStatement(node) && hasDirectExpect(node.thenStatement, tree)) mark("expect-under-if");
}

function isDefault(node: Node): boolean {
  const modifiers = (node as { modifiers?: readonly Node[] }).modifiers ?? [];
  return [...modifiers].some(({ kind }) => kind === SyntaxKind.DefaultKeyword);
}

function readModuleState(node: Node, mark: (kind: Mark["kind"]) => void): void {
  if (!isVariableStatement(node) || !isVariableDeclarationList(node.declarationList)) return;
  const constant = (node.declarationList.flags & NodeFlags.Const) !== 0;
  const declared = [SyntaxKind.DeclareKeyword];
  if ([...(node.modifiers ?? [])].some(({ kind }) => declared.includes(kind))) return;
  if (!constant) mark("module-variable");
  for (const { initializer } of node.declarationList.declarations)
    if (initializer !== undefined && isNewExpression(initializer) && isEmptyCollection(initializer))
      mark("module-collection");
}

function isEmptyCollection(node: Node): boolean {
  if (!isNewExpression(node) || !isIdentifier(node.expression)) return false;
  return ["Map", "Set", "WeakMap", "WeakSet"].includes(node.expression.text) && !node.arguments?.length;
}

/** An assertion that runs only when a condition holds proves nothing when it does not. */
function hasDirectExpect(branch: Node, tree: SourceFile): boolean {
  const statements: readonly Node[] = isBlock(branch) ? [...branch.statements] : [branch];
  return statements.some((statement) => /^(?:await\s+)?expect\b/.test(statement.getText(tree)));
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

function lineOf(starts: readonly number[], position: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((starts[middle] ?? 0) <= position) low = middle;
    else high = middle - 1;
  }
  return low + 1;
}
