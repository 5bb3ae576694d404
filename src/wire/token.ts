/**
 * The text form of tokens: `arl_<kind>_<43 characters of base64url><6 hex digits of checksum>`.
 * The prefix and the checksum let secret scanners find a leaked token without guessing.
 */
import { createHash } from "node:crypto";
import type { PrincipalKind } from "./scope.ts";

const kindPrefix: Record<PrincipalKind, string> = {
  operator: "arl_opr_",
  host: "arl_hst_",
  runner: "arl_run_",
  agent: "arl_agt_",
};
const tokenPattern = /^(arl_(?:opr|hst|run|agt)_)([A-Za-z0-9_-]{43})([0-9a-f]{6})$/;

/**
 * The text of a new token.
 * @param random 32 random bytes
 */
export function tokenText(kind: PrincipalKind, random: Uint8Array): string {
  const body = `${kindPrefix[kind]}${Buffer.from(random).toString("base64url")}`;
  return body + checksum(body);
}

/** The kind a token text claims, or undefined when the form or the checksum is wrong. */
export function tokenKind(text: string): PrincipalKind | undefined {
  const match = tokenPattern.exec(text);
  if (match === null) return undefined;
  const [, prefix = "", secret = "", sum = ""] = match;
  if (checksum(prefix + secret) !== sum) return undefined;
  return (Object.keys(kindPrefix) as PrincipalKind[]).find((kind) => kindPrefix[kind] === prefix);
}

/** What the relay stores of a token: SHA-256 in hex. 256 random bits need no slow hash. */
export function tokenHash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function checksum(body: string): string {
  return createHash("sha256").update(body).digest("hex").slice(0, 6);
}
