/**
 * Whom TLS connections trust: the system's authorities, or those of a file. For a relay only the user's own home can
 * name it, for another server an argument can; never a repository or an agent.
 */
import { lstatSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isMissing, UnsafePathError } from "./file.ts";

/** The file in a home whose certificates (PEM) replace the system's authorities. */
export const authorityFile = "ca.pem";

/**
 * The authorities of a home, or undefined when the system's count.
 * @throws UnsafePathError when others may write the file
 */
export function authorityOf(home: string): string | undefined {
  return authorityFrom(join(home, authorityFile));
}

/**
 * The authorities (PEM) of a file, or undefined when there is none.
 * @throws UnsafePathError when others may write the file
 */
export function authorityFrom(path: string): string | undefined {
  try {
    const stat = lstatSync(path);
    if (!stat.isFile() || (stat.mode & 0o022) !== 0) {
      throw new UnsafePathError(
        `Trust ${path}: others may write to it, or it is no file; mode 644 or 600 was wanted`,
      );
    }
    return readFileSync(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
