/**
 * Port and secret of an endpoint, kept so that a restarted runner serves the same address with the same secret and
 * its agent does not notice. The secret stands in a file of its own that a person may hand to a client.
 */
import { join } from "node:path";
import { z } from "zod";
import { privateFolder, readPrivate, writePrivate } from "../base/file.ts";
import type { Random } from "../base/random.ts";

const endpointSchema = z.object({ port: z.number().int().min(0).max(65_535) });

export type EndpointFile = {
  /** Port served before; 0 when there was none. */
  port: number;
  /** 256 random bits as base64url. */
  secret: string;
  secretFile: string;
};

/**
 * The endpoint's port and secret from a folder; makes the secret when there is none.
 * @param name tells endpoints of one folder apart, for example `proxy` and `control`
 */
export function loadEndpointFile(folder: string, name: string, random: Random): EndpointFile {
  privateFolder(folder);
  const secretFile = join(folder, `${name}.secret`);
  let secret = readPrivate(secretFile)?.trim();
  if (secret === undefined || secret.length < 43) {
    secret = Buffer.from(random.bytes(32)).toString("base64url");
    writePrivate(secretFile, `${secret}\n`);
  }
  return { port: savedPort(folder, name), secret, secretFile };
}

/** Remembers the port that is served now. */
export function saveEndpointPort(folder: string, name: string, port: number): void {
  if (savedPort(folder, name) !== port)
    writePrivate(join(folder, `${name}.json`), `${JSON.stringify({ port })}\n`);
}

function savedPort(folder: string, name: string): number {
  const text = readPrivate(join(folder, `${name}.json`));
  if (text === undefined) return 0;
  try {
    return endpointSchema.parse(JSON.parse(text)).port;
  } catch {
    return 0; // A damaged port file costs the old port, nothing else.
  }
}
