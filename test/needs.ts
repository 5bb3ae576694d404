/**
 * The only way to leave a test out: something of the system that it needs is not here. It says what is missing.
 * Where nothing may be missing (CI=true) the test fails instead.
 */

import { test } from "bun:test";
import { existsSync } from "node:fs";

// biome-ignore lint/suspicious/noConfusingVoidType: bun:test takes exactly this type
type Body = () => void | Promise<unknown>;

/** A test as `bun:test` takes it. `options` is a timeout in ms. */
export type Tester = (name: string, body: Body, options?: number) => void;

/** What the tests need besides programs. */
const capabilities = {
  proc: { present: () => existsSync("/proc/self/environ"), otherwise: "this system has no /proc" },
  "mount namespaces": {
    present: () => canMount(),
    otherwise:
      "a process cannot mount a tmpfs in a namespace of its own (`unshare --mount` as root; a container needs CAP_SYS_ADMIN)",
  },
  root: { present: () => process.getuid?.() === 0, otherwise: "the tests do not run as root" },
} as const;

/** Tried, because being root is not enough in a container. */
function canMount(): boolean {
  if (Bun.which("unshare") === null) return false;
  const script = "mount -t tmpfs -o size=1m tmpfs /mnt";
  return Bun.spawnSync(["unshare", "--mount", "sh", "-c", script], { stdio: ["ignore", "ignore", "ignore"] })
    .success;
}

/** Something a test may need: a capability, or else a program by its name. */
export type Need = keyof typeof capabilities | (string & {});

/** What a decision rests on; passed in so that it can be tried. */
export type Surroundings = { which: (program: string) => string | null; strict: boolean };

const real: Surroundings = { which: (program) => Bun.which(program), strict: process.env.CI === "true" };

/** A sentence for each need that is not met. */
export function missing(wanted: readonly Need[], { which }: Pick<Surroundings, "which">): string[] {
  return wanted.flatMap((need) => {
    if (Object.hasOwn(capabilities, need)) {
      const { present, otherwise } = capabilities[need as keyof typeof capabilities];
      return present() ? [] : [otherwise];
    }
    return which(need) === null ? [`the program ${need} is not installed`] : [];
  });
}

/** What to do with a test whose needs are known: run it, leave it out, or fail it, and why. */
export function verdict(
  wanted: readonly Need[],
  around: Surroundings,
): { act: "run" } | { act: "leave-out" | "fail"; why: string } {
  const faults = missing(wanted, around);
  if (faults.length === 0) return { act: "run" };
  return { act: around.strict ? "fail" : "leave-out", why: faults.join("; ") };
}

/**
 * `test` for a test that needs these: `needs("nginx", "proc")("P1: …", async () => { … })`.
 * @param wanted programs and capabilities
 */
export function needs(...wanted: Need[]): Tester {
  const decided = verdict(wanted, real);
  if (decided.act === "run") return (name, body, options) => test(name, body, options);
  const { act, why } = decided;
  if (act === "leave-out")
    return (name, body, options) => test.skip(`${name} [left out: ${why}]`, body, options);
  return (name) =>
    test(name, () => {
      throw new Error(`Run the test: ${why}; with CI=true nothing may be missing`);
    });
}
