/**
 * Writes what is made from the tables of src/wire: the tables of docs/reference.md, between markers, and
 * docs/openapi.json. With `--check` it writes nothing and fails when a document differs.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { z } from "zod";
import { version } from "../package.json";
import { openApiText } from "../src/relay/openapi.ts";
import { type OperationRow, operationTable } from "../src/wire/api.ts";
import { errorTable } from "../src/wire/error.ts";
import { deliveries, deliveryNotes, isFailure } from "../src/wire/receipt.ts";
import { scopeTable } from "../src/wire/scope.ts";
import { type ToolRow, toolTable } from "../src/wire/tools.ts";

const path = "docs/reference.md";

/** Every table by the name in its marker. */
const tables: Readonly<Record<string, () => string>> = {
  tools: toolsTable,
  outcomes: outcomesTable,
  operations: operationsTable,
  scopes: scopesTable,
  errors: errorsTable,
};

/** The document with every table made anew. Throws when a marker is missing or names no table. */
export function withTables(document: string): string {
  const found = new Set<string>();
  const text = document.replace(
    /(<!-- table: ([a-z]+) -->\n)[\s\S]*?(<!-- end -->)/g,
    (_, begin: string, name: string, end: string) => {
      const make = tables[name];
      if (make === undefined) throw new Error(`Make ${path}: there is no table ${JSON.stringify(name)}`);
      found.add(name);
      return `${begin}\n${make()}\n\n${end}`;
    },
  );
  for (const name of Object.keys(tables))
    if (!found.has(name)) throw new Error(`Make ${path}: it has no marker <!-- table: ${name} -->`);
  return text;
}

function toolsTable(): string {
  const rows = Object.entries<ToolRow>(toolTable).map(([name, row]) => [
    `\`${name}\``,
    `\`${row.scope}\``,
    row.buffered ? "yes" : "no",
    row.shownWhen === "always" ? "always" : "in an isolated worktree",
    members(row.input),
    row.description,
  ]);
  return table(["tool", "scope", "buffered", "shown", "arguments", "what it does"], rows);
}

function outcomesTable(): string {
  const rows = deliveries.map((name) => [
    `\`${name}\``,
    isFailure(name) ? "true" : "false",
    deliveryNotes[name],
  ]);
  return table(["`delivery`", "`isError`", "what the agent is told"], rows);
}

function operationsTable(): string {
  const rows = Object.entries<OperationRow>(operationTable).map(([name, row]) => [
    `\`${row.method} ${row.path}\``,
    `\`${name}\``,
    row.scope === "any" ? "any token" : row.scope === "none" ? "no token" : `\`${row.scope}\``,
    members(row.request),
    row.summary,
  ]);
  return table(["request", "operation", "scope", "members", "what it does"], rows);
}

function scopesTable(): string {
  const rows = Object.entries(scopeTable).map(([name, row]) => [
    `\`${name}\``,
    row.allows,
    row.holders.join(", "),
  ]);
  return table(["scope", "lets its holder", "may be held by"], rows);
}

const retries = {
  "same-key": "send again with the same key",
  "refresh-token": "refresh the token, then send again",
  never: "do not send again",
} as const;

function errorsTable(): string {
  const rows = Object.entries(errorTable).map(([code, row]) => [
    `\`${code}\``,
    String(row.status),
    row.title,
    retries[row.retry],
  ]);
  return table(["code", "status", "meaning", "what a sender does"], rows);
}

/** Names of the members of a request, those that may be left out with a question mark. */
function members(schema: z.ZodType): string {
  const shape = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  const names = Object.keys(shape.properties ?? {});
  if (names.length === 0) return "none";
  return names.map((name) => `\`${name}${shape.required?.includes(name) ? "" : "?"}\``).join(", ");
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** Each document with what it has to be now. */
const documents: Readonly<Record<string, (now: string) => string>> = {
  [path]: withTables,
  "docs/openapi.json": () => openApiText(version),
};

/** Checks or writes the documents; the exit code of the process. */
function main(check: boolean): number {
  let differing = 0;
  for (const [name, make] of Object.entries(documents)) {
    const file = resolve(import.meta.dir, "..", name);
    const now = existsSync(file) ? readFileSync(file, "utf8") : "";
    const wanted = make(now);
    if (wanted === now) continue;
    differing += 1;
    if (check) console.error(`${name} differs from the tables of src/wire: run 'tools/bun tools/docs.ts'`);
    else writeFileSync(file, wanted);
    if (!check) console.log(`${name} was written`);
  }
  return check && differing > 0 ? 1 : 0;
}

if (import.meta.main) process.exit(main(process.argv.includes("--check")));
