/**
 * Writes the schema that the migrations make to src/store/sqlite/schema.sql, so that a change of it can be read in
 * a diff. `--check` writes nothing and exits 1 when the file differs.
 */
import { join } from "node:path";
import { openSqlite } from "../src/base/sqlite.ts";
import { dumpSchema, migrate } from "../src/store/migrate.ts";

const path = join(import.meta.dir, "../src/store/sqlite/schema.sql");

function currentSchema(): string {
  const database = openSqlite({ path: ":memory:", exclusive: false });
  migrate(database);
  const text = dumpSchema(database);
  database.close(true);
  return text;
}

const wanted = currentSchema();
if (process.argv.includes("--check")) {
  const file = Bun.file(path);
  const got = (await file.exists()) ? await file.text() : "";
  if (got !== wanted) {
    console.error(`${path} is not what the migrations make: run tools/bun tools/schema-dump.ts`);
    process.exit(1);
  }
} else {
  await Bun.write(path, wanted);
}
