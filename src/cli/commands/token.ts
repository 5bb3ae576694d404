/** `agent-relay token create|ls|revoke`. A secret is made here, shown or written once, and only its hash is sent. */

import { existsSync } from "node:fs";
import { realClock } from "../../base/clock.ts";
import { writePrivate } from "../../base/file.ts";
import { realRandom } from "../../base/random.ts";
import type { Scope } from "../../wire/scope.ts";
import { tokenHash, tokenText } from "../../wire/token.ts";
import { operatorClient, type RelayOptions } from "../context.ts";
import { ageText, CliError, type Printer } from "../print.ts";

export type TokenCreateOptions = RelayOptions & {
  kind: "operator" | "host";
  note: string;
  ttl?: number;
  grant?: Scope[];
  out?: string;
};

/** Makes a token. */
export async function tokenCreate(options: TokenCreateOptions, print: Printer): Promise<void> {
  if (options.out !== undefined && existsSync(options.out)) {
    throw new CliError("usage", `Write the token: ${options.out} exists already, a new file was wanted`);
  }
  const secret = tokenText(options.kind, realRandom.bytes(32));
  const token = await operatorClient(options).createToken({
    kind: options.kind,
    note: options.note,
    secretHash: tokenHash(secret),
    ...(options.grant === undefined ? {} : { grants: options.grant }),
    ...(options.ttl === undefined ? {} : { ttlSeconds: options.ttl }),
  });
  if (options.out !== undefined) writePrivate(options.out, `${secret}\n`);
  print.data(options.out === undefined ? { token, secret } : { token, file: options.out });
  print.line(options.out === undefined ? secret : `The secret is in ${options.out}`);
  if (options.out === undefined) print.line(print.dim("This is shown once; keep it in a file of mode 600."));
}

/** Prints all tokens. */
export async function tokenList(options: RelayOptions, print: Printer): Promise<void> {
  const reply = await operatorClient(options).listTokens({});
  print.data(reply);
  print.table(
    ["ID", "KIND", "AGENT", "STATE", "USED", "NOTE"],
    reply.tokens.map((token) => [
      token.id,
      token.kind,
      token.agent ?? "",
      stateOf(token),
      token.lastUsedAt === undefined ? "never" : ageText(realClock.now() - Date.parse(token.lastUsedAt)),
      token.note,
    ]),
  );
}

/** Revokes a token and what it minted; by cascade also what it made and enrolled. */
export async function tokenRevoke(
  options: RelayOptions & { id: string; cascade?: true },
  print: Printer,
): Promise<void> {
  const { id, cascade } = options;
  const token = await operatorClient(options).revokeToken({ id, ...(cascade ? { cascade } : {}) });
  print.data({ token });
  const ended = token.revokedTokens > 1 ? `; ${token.revokedTokens} tokens ended by it` : "";
  print.line(`Token ${token.id} (${token.kind}) is revoked${ended}`);
}

function stateOf(token: {
  displaced?: boolean | undefined;
  revokedAt?: string | undefined;
  expiresAt?: string | undefined;
}): string {
  if (token.revokedAt !== undefined) return "revoked";
  if (token.displaced === true) return "displaced";
  if (token.expiresAt === undefined) return "valid";
  const left = Date.parse(token.expiresAt) - realClock.now();
  return left <= 0 ? "expired" : `valid ${ageText(left)}`;
}
