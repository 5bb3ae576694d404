/** `bin/agent-relay` from wherever it is started, and in a tree whose install scripts were never run. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { version } from "../../package.json" with { type: "json" };
import { openWorld, program, root, type World } from "./kit.ts";

let world: World;
beforeAll(() => {
  world = openWorld();
});
afterAll(() => world.close());

const says = { code: 0, stdout: `${version}\n`, stderr: "" };

/** A copy of the launcher with the sources linked and `node_modules` as the caller makes it. */
function treeOf(name: string, modules: (folder: string) => void): string {
  const folder = join(world.folder, name);
  mkdirSync(join(folder, "bin"), { recursive: true });
  mkdirSync(join(folder, "tools"));
  copyFileSync(program, join(folder, "bin/agent-relay"));
  copyFileSync(join(root, "tools/bun"), join(folder, "tools/bun"));
  for (const one of ["src", "package.json"]) symlinkSync(join(root, one), join(folder, one));
  modules(join(folder, "node_modules"));
  return join(folder, "bin/agent-relay");
}

/** What `npm ci --ignore-scripts` leaves where the binary would be. */
function withoutScripts(modules: string): void {
  mkdirSync(join(modules, "bun/bin"), { recursive: true });
  writeFileSync(join(modules, "bun/bin/bun.exe"), "#!/bin/sh\necho 'postinstall was not run' >&2\nexit 1\n", {
    mode: 0o755,
  });
}

const system = `bun-${process.platform}-${process.arch === "arm64" ? "aarch64" : "x64"}`;
/** Two builds for this system, in the order in which the launcher asks them. */
const builds = [system, `${system}-baseline`] as const;
const buildPath = (modules: string, build: string) => join(modules, "@oven", build, "bin/bun");

function addBuild(modules: string, build: string, make: () => void): void {
  mkdirSync(dirname(buildPath(modules, build)), { recursive: true });
  make();
}

describe("C: [C.9] the program starts", () => {
  test("from another directory", async () => {
    expect(await world.cli(["--version"], { cwd: "/" })).toEqual(says);
  });

  test("P3: [P3.8] a folder's .env and bunfig.toml neither name a relay nor run code", async () => {
    const folder = join(world.folder, "hostile");
    mkdirSync(folder);
    writeFileSync(join(folder, ".env"), "AGENT_RELAY_URL=http://relay.invalid\n");
    writeFileSync(join(folder, "bunfig.toml"), 'preload = ["./code.ts"]\n');
    writeFileSync(join(folder, "code.ts"), 'console.error("foreign code ran");\n');
    expect(await world.cli(["--version"], { cwd: folder })).toEqual(says);
    const asked = await world.cli(["agents", "--home", join(world.folder, "none")], { cwd: folder });
    expect(asked.stderr).toStartWith("agent-relay: Find the relay: none runs from");
  });

  test("through a chain of symlinks, absolute and relative", async () => {
    mkdirSync(join(world.folder, "links"));
    symlinkSync(program, join(world.folder, "links/absolute"));
    symlinkSync("links/absolute", join(world.folder, "relative"));
    for (const link of ["links/absolute", "relative"])
      expect(await world.cli(["--version"], { cwd: "/", program: join(world.folder, link) })).toEqual(says);
  });

  test("through a symlink to its directory, and with spaces in its path", async () => {
    const spaced = join(world.folder, "a folder with spaces");
    symlinkSync(root, spaced);
    expect(await world.cli(["--version"], { program: join(spaced, "bin/agent-relay") })).toEqual(says);
  });

  test("after npm ci --ignore-scripts: from the package of this system's build", async () => {
    const launcher = treeOf("no scripts", (modules) => {
      withoutScripts(modules);
      addBuild(modules, builds[1], () => symlinkSync(process.execPath, buildPath(modules, builds[1])));
    });
    expect(await world.cli(["--version"], { program: launcher, cwd: "/" })).toEqual(says);
  });

  test("when npm has put the dependencies into a folder above", async () => {
    const launcher = treeOf("above/inner/package", () => {});
    symlinkSync(join(root, "node_modules"), join(world.folder, "above/node_modules"));
    expect(await world.cli(["--version"], { program: launcher, cwd: "/" })).toEqual(says);
  });

  test("and a build for another C library or processor beside the right one is passed over", async () => {
    const launcher = treeOf("mixed", (modules) => {
      withoutScripts(modules);
      const wrong = buildPath(modules, builds[0]);
      addBuild(modules, builds[0], () => writeFileSync(wrong, "\u007fELF of another one", { mode: 0o755 }));
      addBuild(modules, builds[1], () => symlinkSync(process.execPath, buildPath(modules, builds[1])));
    });
    expect(await world.cli(["--version"], { program: launcher, cwd: "/" })).toEqual(says);
  });
});

test("C: [C.4] without any Bun it says in one line what to do", async () => {
  const launcher = treeOf("bare", withoutScripts);
  const folder = dirname(dirname(launcher));
  expect(await world.cli(["--version"], { program: launcher })).toEqual({
    code: 69,
    stdout: "",
    stderr: `agent-relay: Bun is not installed beside this program: run 'npm ci' in ${folder}\n`,
  });
});
