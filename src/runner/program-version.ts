/**
 * The version that a program prints, asked once for each file: the answer is kept beside its size and time of change, so
 * that only the first start after an update waits for it.
 */
import { statSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { privateFolder, readPrivate, writePrivate } from "../base/file.ts";

const keptSchema = z.record(
  z.string(),
  z.object({ size: z.number(), changed: z.number(), text: z.string() }),
);
const textMax = 200;

/**
 * What `PROGRAM --version` printed; undefined when it cannot be known.
 * @param ask runs the program; rejects or gives undefined when it did not answer in time
 */
export async function programVersion(
  home: string,
  program: string,
  ask: (program: string) => Promise<string | undefined>,
): Promise<string | undefined> {
  try {
    const path = join(home, "versions.json");
    const { size, mtimeMs: changed } = statSync(program);
    const kept = keptIn(path);
    const known = kept[program];
    if (known?.size === size && known.changed === changed) return known.text;
    const text = (await ask(program))?.slice(0, textMax);
    if (text === undefined) return undefined;
    privateFolder(home);
    writePrivate(path, `${JSON.stringify({ ...kept, [program]: { size, changed, text } })}\n`);
    return text;
  } catch {
    return undefined; // It only would have led to a word of advice.
  }
}

function keptIn(path: string): z.infer<typeof keptSchema> {
  try {
    return keptSchema.parse(JSON.parse(readPrivate(path) ?? "{}"));
  } catch {
    return {};
  }
}
