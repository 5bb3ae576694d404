/**
 * The parts of the product that the property runs, and copies of them with one line changed: a property that stays
 * green when an enforcement point is gone proves nothing.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

/** What the property drives. */
export type Product = {
  readonly core: typeof import("../../src/proxy/core.ts");
  readonly requests: typeof import("../../src/proxy/requests.ts");
  readonly deliver: typeof import("../../src/proxy/deliver.ts");
  readonly rules: typeof import("../../src/store/rules.ts");
  readonly modern: typeof import("../../src/proxy/modern.ts");
  readonly legacy: typeof import("../../src/proxy/legacy.ts");
  readonly jsonrpc: typeof import("../../src/wire/jsonrpc.ts");
  readonly exchange: typeof import("../../src/base/http/exchange.ts");
};

const root = resolve(import.meta.dir, "../..");

/** The product of this repository, or of a copy of its `src`. */
export async function productAt(folder: string = root): Promise<Product> {
  const from = <Module>(path: string): Promise<Module> => import(join(folder, "src", path));
  return {
    core: await from("proxy/core.ts"),
    requests: await from("proxy/requests.ts"),
    deliver: await from("proxy/deliver.ts"),
    rules: await from("store/rules.ts"),
    modern: await from("proxy/modern.ts"),
    legacy: await from("proxy/legacy.ts"),
    jsonrpc: await from("wire/jsonrpc.ts"),
    exchange: await from("base/http/exchange.ts"),
  };
}

/** A text that stands in a file exactly once, and what stands there instead. */
export type Change = { readonly file: string; readonly from: string; readonly to: string };

/**
 * A copy of the product with one change.
 * @throws Error when the text does not stand there exactly once: the change has to follow the product
 */
export async function changedProduct(change: Change): Promise<{ product: Product; remove(): void }> {
  const folder = mkdtempSync(join(tmpdir(), "agent-relay-changed-"));
  cpSync(join(root, "src"), join(folder, "src"), {
    recursive: true,
    filter: (path) => !path.endsWith(".test.ts"),
  });
  cpSync(join(root, "package.json"), join(folder, "package.json"));
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  const path = join(folder, "src", change.file);
  const parts = readFileSync(path, "utf8").split(change.from);
  if (parts.length !== 2) {
    rmSync(folder, { recursive: true });
    throw new Error(
      `Change src/${change.file}: the text ${JSON.stringify(change.from)} stands there ${parts.length - 1} times, once was wanted`,
    );
  }
  writeFileSync(path, parts.join(change.to));
  const product = await productAt(folder);
  return { product, remove: () => rmSync(folder, { recursive: true }) };
}
